"""How the lab's JupyterLab opens a notebook: without the outputs of a run that is not yours."""

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

BAR = "application/vnd.jupyter.widget-view+json"  # it could not be shown again


class Contents(AsyncLargeFileManager):
    """Leaves out the outputs of a notebook that has `stored_run` in its metadata.

    They stay in the file, for the web and the tests, until you save it: then they are your own.
    """

    async def get(self, path: str, content: bool = True, *kind: object, **more: object) -> dict:
        """Return a file or folder, as JupyterLab asks for it."""
        model = await super().get(path, content, *kind, **more)
        is_notebook = content and model["type"] == "notebook"
        if is_notebook and model["content"]["metadata"].get("stored_run"):
            for code in (one for one in model["content"]["cells"] if one["cell_type"] == "code"):
                code.update(outputs=[], execution_count=None)
        return model

    async def save(self, model: dict, path: str = "") -> dict:
        """Save a file or folder, without the mark; return what `get` does, without the content."""
        if model.get("type") == "notebook" and model.get("content"):
            model["content"].get("metadata", {}).pop("stored_run", None)
            for code in (one for one in model["content"].get("cells", ()) if "outputs" in one):
                code["outputs"] = [o for o in code["outputs"] if BAR not in o.get("data", ())]
        return await super().save(model, path)
