"""Builds what one run needs: the only room where auth, models, local, tools and agent meet."""
