"""The report's charts (Vega-Altair)."""
