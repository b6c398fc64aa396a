"""The commands of ``covey``, by what they are about. Each imports what it alone needs: most are there in a moment."""
