# SPDX-License-Identifier: GPL-2.0-only
"""What runs found, as one page of HTML for people: `page.render`.

`view` sorts results as the page tells them, `evidence` reads what a run's folder has besides, and
`page.html.jinja` with `page.css` is the page. It has no script, and fetches nothing.
"""
