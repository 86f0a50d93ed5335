"""A dashboard as Grafana's JSON, through grafana-foundation-sdk, whose release is the Grafana that it writes for.

The same dashboard gives the same text: a panel's id comes from its title, so a link to a panel survives others that are
put before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final
from zlib import crc32

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard, prometheus, stat, statetimeline, timeseries, units

from jobctl.core.panels import (
    EVERYTHING,
    Dashboard,
    Form,
    Mark,
    Panel,
    Place,
    Query,
    State,
    Step,
    Tone,
    Unit,
    Variable,
    places,
)

__all__ = ["dashboard_json"]

#: The variable by which whoever looks chooses a Prometheus.
_SOURCE_VARIABLE: Final = "datasource"
_PLUGIN: Final = "prometheus"
#: A variable's query as the editor of Grafana 11 keeps it; kind 1 is label_values.
_LABEL_VALUES: Final = {"qryType": 1, "refId": "PrometheusVariableQueryEditor-VariableQuery"}
_COLOURS: Final[Mapping[Tone, str]] = {
    Tone.GOOD: "green",
    Tone.WARNING: "orange",
    Tone.ALARM: "red",
    Tone.PLAIN: "blue",
}
#: Grafana's units; one that begins with ``suffix:`` is put behind the number.
_UNITS: Final[Mapping[Unit, str]] = {
    Unit.COUNT: units.Short,
    Unit.SHARE: units.PercentUnit,
    Unit.TIMES: "suffix: x",
    Unit.SECONDS: units.Seconds,
    Unit.BYTES: units.BytesIEC,
    Unit.USD: units.Dollars,
    Unit.JOBS_PER_S: "suffix: jobs/s",
    Unit.CALLS_PER_S: "suffix: calls/s",
    Unit.TOKENS_PER_S: "suffix: tokens/s",
    Unit.CORES: "suffix: cores",
}
_TYPES: Final[Mapping[Form, str]] = {Form.LINES: "timeseries", Form.FIGURE: "stat", Form.STATES: "state-timeline"}
#: How often it is drawn again, and what may be chosen instead.
_REFRESH: Final = "30s"
_REFRESH_INTERVALS: Final = ["10s", "30s", "1m", "5m", "15m"]
#: How much of the area below a line is filled, percent: alone, and where lines are on top of each other.
_FILL, _STACKED_FILL = 8, 40
#: The letters of queries.
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def dashboard_json(shown: Dashboard) -> str:
    """The dashboard's file, as Grafana's provisioning and its import read it."""
    document = dashboard.Dashboard(
        uid=shown.uid,
        title=shown.title,
        description=shown.description,
        tags=["jobctl"],
        timezone="browser",
        editable=False,
        graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
        time=dashboard.DashboardDashboardTime("now-6h", "now"),
        timepicker=dashboard.TimePickerConfig(refresh_intervals=_REFRESH_INTERVALS),
        refresh=_REFRESH,
        panels=[_placed(place) for place in places(shown.rows)],
        templating=dashboard.DashboardDashboardTemplating([_source_variable(), *map(_variable, shown.variables)]),
        annotations=dashboard.AnnotationContainer([_Marks(mark) for mark in shown.marks]),
        links=[] if shown.runbook is None else [_link(shown.runbook)],
    )
    return json.dumps(document, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


class _Marks(dashboard.AnnotationQuery):
    """Annotations of Prometheus, with the fields that only its plugin knows.

    Args:
        mark: What is marked.
    """

    def __init__(self, mark: Mark) -> None:
        super().__init__(mark.name, _source(), icon_color=_COLOURS[mark.tone], expr=mark.expr)
        self._text = mark.text

    def to_json(self) -> dict[str, object]:
        """The JSON, which says that a sample's value is when it was."""
        return {**super().to_json(), "titleFormat": self.name, "textFormat": self._text, "useValueForTime": True}


def _source() -> dashboard.DataSourceRef:
    return dashboard.DataSourceRef(_PLUGIN, f"${{{_SOURCE_VARIABLE}}}")


def _source_variable() -> dashboard.VariableModel:
    return dashboard.VariableModel(
        dashboard.VariableType.DATASOURCE, _SOURCE_VARIABLE, label="Prometheus", query=_PLUGIN
    )


def _variable(variable: Variable) -> dashboard.VariableModel:
    return dashboard.VariableModel(
        dashboard.VariableType.QUERY,
        variable.name,
        label=variable.label,
        description=variable.description,
        query={**_LABEL_VALUES, "query": variable.values},
        datasource=_source(),
        current=dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]),
        multi=True,
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
        include_all=True,
        all_value=EVERYTHING,
    )


def _link(runbook: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(
        "Runbook",
        dashboard.DashboardLinkType.LINK,
        icon="doc",
        tooltip="What to do about each alert",
        url=runbook,
        target_blank=True,
    )


def _placed(place: Place) -> dashboard.Panel | dashboard.RowPanel:
    grid_pos = dashboard.GridPos(h=place.height, w=place.width, x=place.x, y=place.y)
    if place.panel is None:
        return dashboard.RowPanel(title=place.heading, id_val=_id(f"row {place.heading}"), grid_pos=grid_pos)
    return _panel(place.panel, grid_pos)


def _id(name: str) -> int:
    """A number that its name alone decides, within JavaScript's bitwise operators."""
    return crc32(name.encode()) >> 1


def _panel(panel: Panel, grid_pos: dashboard.GridPos) -> dashboard.Panel:
    options, custom = _look(panel)
    return dashboard.Panel(
        type_val=_TYPES[panel.form],
        id_val=_id(panel.title),
        title=panel.title,
        description=panel.description,
        datasource=_source(),
        grid_pos=grid_pos,
        targets=[_target(query, _ref_id(place), panel.form) for place, query in enumerate(panel.queries)],
        options=options,
        field_config=dashboard.FieldConfigSource(
            dashboard.FieldConfig(
                unit=_UNITS[panel.unit],
                min_val=panel.floor,
                mappings=_mappings(panel.states),
                thresholds=_thresholds(panel.steps),
                color=dashboard.FieldColor(
                    dashboard.FieldColorModeId.PALETTE_CLASSIC
                    if panel.form is Form.LINES
                    else dashboard.FieldColorModeId.THRESHOLDS
                ),
                no_value=panel.nothing,
                custom=custom,
            ),
            [_held_against(_ref_id(place)) for place, query in enumerate(panel.queries) if query.target],
        ),
    )


def _ref_id(place: int) -> str:
    """What a panel's query is called, by its place: A to Z, then AA, AB and so on, as in Grafana's editor."""
    before, letter = divmod(place, len(_LETTERS))
    return (_ref_id(before - 1) if before else "") + _LETTERS[letter]


def _target(query: Query, ref_id: str, form: Form) -> prometheus.Dataquery:
    newest = form is Form.FIGURE
    return prometheus.Dataquery(
        query.expr,
        instant=newest,
        range_val=not newest,
        editor_mode=prometheus.QueryEditorMode.CODE,
        format_val=prometheus.PromQueryFormat.TIME_SERIES,
        legend_format=query.legend,
        ref_id=ref_id,
        datasource=_source(),
    )


def _look(panel: Panel) -> tuple[object, object]:
    """What is particular to a panel's form: its options, and how its fields are drawn."""
    legend = common.VizLegendOptions(
        common.LegendDisplayMode.LIST, common.LegendPlacement.BOTTOM, show_legend=panel.form is Form.LINES
    )
    tooltip = common.VizTooltipOptions(common.TooltipDisplayMode.MULTI, common.SortOrder.DESCENDING)
    match panel.form:
        case Form.LINES:
            return timeseries.Options(legend=legend, tooltip=tooltip), _drawn(panel)
        case Form.FIGURE:
            several = len(panel.queries) > 1
            return (
                stat.Options(
                    graph_mode=common.BigValueGraphMode.NONE,
                    color_mode=common.BigValueColorMode.VALUE,
                    text_mode=common.BigValueTextMode.VALUE_AND_NAME if several else common.BigValueTextMode.VALUE,
                    reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
                ),
                None,
            )
        case Form.STATES:
            return (
                statetimeline.Options(
                    show_value=common.VisibilityMode.AUTO,
                    align_value=common.TimelineValueAlignment.LEFT,
                    legend=legend,
                    tooltip=tooltip,
                ),
                statetimeline.FieldConfig(),
            )


def _drawn(panel: Panel) -> timeseries.FieldConfig:
    """How lines are drawn. Where a series has no sample, the line is broken: nothing is made up."""
    return timeseries.FieldConfig(
        fill_opacity=_STACKED_FILL if panel.stacked else _FILL,
        show_points=common.VisibilityMode.AUTO,
        axis_soft_max=panel.ceiling,
        stacking=common.StackingConfig(common.StackingMode.NORMAL if panel.stacked else common.StackingMode.NONE, "A"),
        thresholds_style=common.GraphThresholdsStyleConfig(
            common.GraphThresholdsStyleMode.DASHED if panel.steps else common.GraphThresholdsStyleMode.OFF
        ),
    )


def _thresholds(steps: Iterable[Step]) -> dashboard.ThresholdsConfig:
    colours = [dashboard.Threshold(step.at, _COLOURS[step.tone]) for step in steps]
    return dashboard.ThresholdsConfig(
        dashboard.ThresholdsMode.ABSOLUTE, colours or [dashboard.Threshold(None, _COLOURS[Tone.PLAIN])]
    )


def _mappings(states: tuple[State, ...]) -> list[dashboard.ValueMapping] | None:
    if not states:
        return None
    results = {
        str(state.value): dashboard.ValueMappingResult(state.words, _COLOURS[state.tone], index=number)
        for number, state in enumerate(states)
    }
    return [dashboard.ValueMap(results)]


def _held_against(ref_id: str) -> dashboard.DashboardFieldConfigSourceOverrides:
    """A query's line is a target: dashed, nothing below it, on top of nothing."""
    drawn = {
        "custom.lineStyle": common.LineStyle("dash", [8, 6]),
        "custom.fillOpacity": 0,
        "custom.stacking": common.StackingConfig(common.StackingMode.NONE, "A"),
        "color": dashboard.FieldColor(dashboard.FieldColorModeId.FIXED, _COLOURS[Tone.ALARM]),
    }
    return dashboard.DashboardFieldConfigSourceOverrides(
        dashboard.MatcherConfig("byFrameRefID", ref_id),
        [dashboard.DynamicConfigValue(name, value) for name, value in drawn.items()],
    )
