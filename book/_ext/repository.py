"""Buttons that lead to the repository, if _config.yml has its address, and none otherwise."""

BUTTONS = "use_repository_button", "use_issues_button", "use_edit_page_button"
LAUNCH = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}


def add_buttons(app, config):
    """Turns on the theme's buttons: repository, issue, edit this page, Binder, Colab."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options |= {**dict.fromkeys(BUTTONS, True), "launch_buttons": LAUNCH}


def setup(app):
    """Sphinx calls this."""
    app.connect("config-inited", add_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
