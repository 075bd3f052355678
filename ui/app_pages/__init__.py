"""One module per page; `streamlit_app.py` names them."""
