"""FastAPI with a pydantic model, served by uvicorn with uvloop and httptools in two workers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI
from forests import Forests
from pydantic import BaseModel, Field


class Row(BaseModel):
    """One row."""

    features: Annotated[list[float], Field(min_length=4, max_length=4)]


app = FastAPI()
forests = Forests()


@app.post("/predict")
async def predict(row: Row) -> dict[str, Any]:
    return forests.predict(row.features)
