"""What is shown: Streamlit pages and Plotly charts over the estimator; torch is never loaded here."""
