"""The official ways into Hermes, from the launcher: as a plugin we would go unheard, for Hermes passes over a plugin that fails."""

from hermes_cli.plugins import PluginContext, PluginManifest, get_plugin_manager
from tools.registry import registry

# What a plugin registers hooks and providers by.
context = PluginContext(PluginManifest(name="private-hermes"), get_plugin_manager())


def change_tool(name, **fields):
    """Registers a tool of Hermes anew, with other fields."""
    tool = registry.get_entry(name)
    registry.register(**{field: getattr(tool, field) for field in tool.__slots__} | fields)
