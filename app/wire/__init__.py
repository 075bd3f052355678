"""Bodies of requests and responses: schemas, problem documents, reader."""
