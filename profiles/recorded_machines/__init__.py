"""Machine profiles that were measured on real machines and ship with the package, one `.json.gz` each."""
