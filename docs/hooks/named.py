"""Mends what a screen reader hears of the theme: the search dialog and a section with a page of its own have no names.

The theme calls each list of pages by the label beside it, which is empty where a section is itself a page; its own
title stands above the list, on a phone, and calls it so everywhere. Around each copy button the theme's script puts a
landmark, a hundred without a name on one page; a plain box does.
"""

import re
from pathlib import Path

from mkdocs.exceptions import PluginError

SEARCH = ('data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"')
SECTION = re.compile(r'aria-labelledby="(?P<id>__nav_\d+)_label"(?P<between>[^>]*>\s*<label class="md-nav__title") ')

BUTTON = ('("nav",{class:"md-code__nav"})', '("div",{class:"md-code__nav"})')


def on_post_page(output, page, config):
    if SEARCH[0] not in output or not SECTION.search(output):
        raise PluginError("the theme writes its search or its navigation otherwise: see docs/hooks/named.py")
    return SECTION.sub(r'aria-labelledby="\g<id>_title"\g<between> id="\g<id>_title" ', output.replace(*SEARCH))


def on_post_template(output, template_name, config):
    return on_post_page(output, None, config) if template_name == "404.html" else output


def on_post_build(config):
    (script,) = Path(config.site_dir, "assets", "javascripts").glob("bundle.*.min.js")
    text = script.read_text("utf-8")
    if BUTTON[0] not in text:
        raise PluginError("the theme makes its copy buttons otherwise: see docs/hooks/named.py")
    script.write_text(text.replace(*BUTTON), "utf-8")
