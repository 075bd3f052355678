"""Pure presentation: charts, inputs, tables, wording."""
