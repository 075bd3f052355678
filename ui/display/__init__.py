"""Presentation: charts, inputs, tables and sentences, all pure; notices that every page shows."""
