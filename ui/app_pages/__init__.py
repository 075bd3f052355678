"""Pages, one module each; `streamlit_app.py` lists them."""
