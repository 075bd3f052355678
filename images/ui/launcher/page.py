"""The script that Streamlit runs for every session and every click: the active pages."""

from images.ui.launcher.server import show

show()
