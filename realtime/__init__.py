"""What happens while frames flow: sources, pipeline, tracking, scoring, overlay, sinks, clocks. Never imports torch."""
