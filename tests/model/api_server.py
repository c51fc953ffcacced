"""A model of the API server, as small as the protocol allows: objects with uids and versions, a log of what happened, requests that can be lost.

A request pauses before it takes effect and before its answer arrives. Whoever drives the coroutine (`operator.py`) decides there whether it goes on,
whether the request or the answer is lost, or whether the caller dies: these are all awaits the operator has, so nothing else can be interrupted.
"""

from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from tests.builders_runs import told

from gantry.kube import AlreadyExists, Conflict, NotFound, Resource

Object = dict[str, Any]
OVER = ("Succeeded", "Failed", "Cancelled", "Superseded")


class Pause:
    """What a request yields: `sent` is False before its effect and True after it."""

    def __init__(self, what: str, *, sent: bool) -> None:
        self.what, self.sent = what, sent

    def __await__(self) -> Generator["Pause", None, None]:
        yield self


class ApiServer:
    """`put` and `remove` are what anybody does; `log` is what the watches carry."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.log: list[tuple[str, bool, Object]] = []
        """Resource, whether it is a deletion, the object."""
        self.version = 100
        self.uids = 0

    def find(self, plural: str, name: str) -> Object | None:
        return self.objects.get((plural, name))

    def all(self, plural: str) -> list[Object]:
        return [obj for (kind, _), obj in self.objects.items() if kind == plural]

    def create(self, plural: str, obj: Object, *, seconds: float) -> Object:
        if (plural, obj["metadata"]["name"]) in self.objects:
            raise AlreadyExists("there is one of that name", status=409)
        self.uids += 1
        meta = {"generation": 1, "creationTimestamp": told(seconds), **obj["metadata"], "namespace": "default", "uid": f"uid-{self.uids:04}"}
        return self.put(plural, {**obj, "metadata": meta})

    def put(self, plural: str, obj: Object) -> Object:
        """As it is now. What the selector of Runs no longer selects is told as a deletion."""
        self.version += 1
        made = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self.objects[plural, made["metadata"]["name"]] = made
        self.log.append((plural, plural == "inferenceruns" and (made.get("status") or {}).get("state") in OVER, made))
        return made

    def remove(self, plural: str, name: str) -> None:
        self.version += 1
        gone = self.objects.pop((plural, name))
        self.log.append((plural, True, {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}))


class Requests:
    """`gantry.kube.Kube` of one operator. `wrote` is told of each effect, for the promises."""

    def __init__(self, server: ApiServer, *, seconds: Callable[[], float], wrote: Callable[[str, str, Object], None]) -> None:
        self._server, self._seconds, self._wrote = server, seconds, wrote

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._request(f"get {name}", lambda: self._found(resource.plural, name))

    async def pages(self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "") -> AsyncIterator[list[Object]]:
        label, _, value = selector.partition("=")

        def listed() -> Object:
            chosen = [obj for obj in self._server.all(resource.plural) if obj["metadata"].get("labels", {}).get(label) == value]
            return {"items": chosen}

        page = await self._request(f"list {resource.plural}", listed)
        yield page["items"]

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        def effect() -> Object:
            made = self._server.create(resource.plural, body, seconds=self._seconds())
            self._wrote("create", resource.plural, made)
            return made

        return await self._request(f"create {body['metadata']['name']}", effect)

    async def apply_status(self, resource: Resource, namespace: str, name: str, status: Object, *, uid: str, version: str | None = None) -> Object:
        """One field manager: the whole status is replaced, but for the conditions of others."""
        def effect() -> Object:
            found = self._found(resource.plural, name)
            if found["metadata"]["uid"] != uid or (version is not None and found["metadata"]["resourceVersion"] != version):
                raise Conflict("it changed meanwhile", status=409)
            foreign = [one for one in (found.get("status") or {}).get("conditions", []) if one["type"] == "Foreign"]
            after = {**status, "conditions": [*status.get("conditions", []), *foreign]}
            made = found if found.get("status") == after else self._server.put(resource.plural, {**found, "status": after})
            self._wrote("status", resource.plural, made)
            return made

        return await self._request(f"write {name} {status.get('state')}", effect)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None, version: str | None = None) -> None:
        """A pod is only told to end: its kubelet and its Job remove it."""

        def effect() -> Object:
            found = self._server.find(resource.plural, name)
            if found is None or uid not in (None, found["metadata"]["uid"]) or version not in (None, found["metadata"]["resourceVersion"]):
                return {}
            self._wrote("delete", resource.plural, found)
            if resource.plural == "pods":
                self._server.put("pods", {**found, "metadata": {**found["metadata"], "deletionTimestamp": told(self._seconds())}})
            else:
                self._server.remove(resource.plural, name)
            return {}

        await self._request(f"delete {name}", effect)

    async def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        raise AssertionError("a pass over a Run reads no secret")

    async def _request(self, what: str, effect: Callable[[], Object]) -> Object:
        await Pause(what, sent=False)
        answer: Object | Exception
        try:
            answer = effect()
        except (NotFound, AlreadyExists, Conflict) as error:
            answer = error
        await Pause(what, sent=True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _found(self, plural: str, name: str) -> Object:
        found = self._server.find(plural, name)
        if found is None:
            raise NotFound("there is none", status=404)
        return found
