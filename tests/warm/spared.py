"""What tests are spared, in their own process and in warm ones, on every platform."""

import gc
import os


def know_that_some_is_frozen():
    """Work asks whether its caller has frozen anything: to count a million objects takes 0.1 s of each training."""
    counted = getattr(gc.get_freeze_count, "__wrapped__", gc.get_freeze_count)  # a worker's server did it before
    gc.get_freeze_count = lambda: 1
    gc.get_freeze_count.__wrapped__ = counted


def render(figures):
    """Lets matplotlib draw reports or not, as the test wants for which this process works."""
    rendering = vars(figures).setdefault("_rendering", figures.row)
    drawn_only = lambda panels, **_: figures.Markup(not_rendered(panels))  # noqa: E731
    figures.row = drawn_only if os.environ.get("TESTS_RENDER_NOTHING") else rendering


class Whatever:
    """Has every attribute, can be called and gone through: a MagicMock takes 4 ms for each of a report's axes."""

    def __getattr__(self, name):
        return self

    def __call__(self, *_, **__):
        return self

    def __iter__(self):
        return iter(())

    def __getitem__(self, _):
        return self


class Axes(Whatever):
    """matplotlib's, as far as drawing asks them anything."""

    def get_xlim(self):
        return 0.0, 1.0

    get_ylim = get_xlim


def not_rendered(panels):
    """All that we do of a row of plots; nothing that matplotlib does."""
    axes = Axes()
    for panel in panels:
        panel.draw(axes)
    return f"<svg><!-- {len(panels)} axes --></svg>"
