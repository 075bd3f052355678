"""One module per page; `streamlit_app.py` lists them."""
