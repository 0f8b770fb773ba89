"""Where models are made: data sets, training, export to a model package. The only room that imports torch."""
