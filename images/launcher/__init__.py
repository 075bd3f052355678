"""What the launchers of API and UI share. Both images get it as an additional build context."""
