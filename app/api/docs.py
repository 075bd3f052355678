"""GET /openapi.json, and GET /docs: a page to try the API, without content from other hosts."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING

from flask import Blueprint, Response

from app.api.openapi import document
from app.api.responses import json_response

if TYPE_CHECKING:
    from app.inference.predict import PredictService

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
textarea, pre { font: 14px/1.5 ui-monospace, monospace; width: 100%; box-sizing: border-box; }
pre { background: #f4f4f4; padding: 1rem; overflow: auto; min-height: 4rem; }
label { display: block; margin: 1rem 0 .3rem; }
li code { font-weight: 600; }
"""
SCRIPT = """
const byId = (id) => document.getElementById(id);
const show = async (response) => {
  const text = await response.text();
  let body = text;
  try { body = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON */ }
  byId("answer").textContent = `${response.status} ${response.statusText}\\n${body}`;
};
const begin = async () => {
  const api = await (await fetch("openapi.json")).json();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const line = document.createElement("li");
      const name = document.createElement("code");
      name.textContent = `${method.toUpperCase()} ${path}`;
      line.append(name, ` ${operation.summary}`);
      byId("endpoints").append(line);
    }
  }
  const config = await (await fetch("config")).json();
  const row = Object.fromEntries(config.features.map((f) => [f.name, Number(f.mean.toFixed(2))]));
  byId("body").value = JSON.stringify({ features: row }, null, 2);
};
byId("try").addEventListener("submit", async (event) => {
  event.preventDefault();
  const headers = { "Content-Type": "application/json", "X-Synthetic": "1" };
  if (byId("key").value) headers["X-API-Key"] = byId("key").value;
  try {
    await show(await fetch("predict", { method: "POST", headers, body: byId("body").value }));
  } catch (error) {
    byId("answer").textContent = String(error);
  }
});
begin();
"""
PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Prediction API</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Prediction API</h1>
<p>The complete description is in <a href="openapi.json">openapi.json</a>. Requests from here count as synthetic.</p>
<ul id="endpoints"></ul>
<form id="try">
<label for="body">POST /predict</label>
<textarea id="body" rows="8" spellcheck="false"></textarea>
<label for="key">API key, where one is needed</label>
<input id="key" type="password" autocomplete="off">
<button>Send</button>
</form>
<h2>Answer</h2>
<pre id="answer"></pre>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


POLICY = (
    f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs(service: PredictService, max_rows: int) -> Blueprint:
    """Return GET /openapi.json and GET /docs. max_rows: rows that a batch may have."""
    blueprint = Blueprint("docs", __name__)

    @blueprint.get("/openapi.json")
    def _openapi() -> Response:
        catalogue = service.bundle.models.catalogue
        features = catalogue.manifest.features if catalogue else []
        return json_response(document(features, max_rows))

    @blueprint.get("/docs")
    def _page() -> Response:
        return Response(
            PAGE, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": POLICY}
        )

    return blueprint
