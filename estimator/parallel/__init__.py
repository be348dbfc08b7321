"""One training step split over many devices: strategies, sharding, collectives, pipelines, memory and the search."""
