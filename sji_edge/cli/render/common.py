"""Names that moved to modules of their own, passed on until every command imports them from there."""

from sji_edge.cli.render.console import console as console
from sji_edge.cli.render.figures import figure as figure
from sji_edge.cli.render.figures import rate as rate
from sji_edge.cli.render.training import print_run as print_run
from sji_edge.cli.settings import settings_or_usage_error as settings_or_usage_error
