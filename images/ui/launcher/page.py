"""What Streamlit runs for every session and every click: the pages that are in force now."""

from images.ui.launcher.server import show

show()
