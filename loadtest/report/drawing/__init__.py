"""Pictures of the model, as SVG that stands in the page and takes its colours from the style."""
