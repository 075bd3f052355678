"""What travels over HTTP: schemas, problem documents, bodies."""
