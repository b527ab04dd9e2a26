"""klipper-helm: renders a chart, and does what Jobs of k3s's helm-controller ask of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from buildsys.app import App, raise_failures
from buildsys.model import Target
from buildsys.styles.go import environment as go_environment
from buildsys.verify.scenario import PORT

from .cluster import Cluster, open_cluster
from .conftest import GetImage
from .unpacked import Finished, Unpacked, wait_for

pytestmark = pytest.mark.slow
"""It compiles for minutes, unless that was done before."""

built = pytest.mark.built

NAME, NAMESPACE = "shop", "kube-system"
CHARTS = f"/apis/helm.cattle.io/v1/namespaces/{NAMESPACE}/helmcharts"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"

TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.name | default .Release.Name }}
data:
  text: {{ .Values.text | quote }}
  number: {{ .Values.number | quote }}
  revision: {{ .Release.Revision | quote }}
"""

BROKEN = {"name": "Not_A_Name"}
"""The API refuses it, after helm has written down that it begins."""


def chart() -> dict[str, str]:
    return {
        "shop/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
        "shop/values.yaml": "text: the chart's own\nnumber: 1\n",
        "shop/templates/map.yaml": TEMPLATE,
    }


def packed(files: Mapping[str, str]) -> str:
    """A chart's archive as HelmChart objects hold it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return base64.b64encode(out.getvalue()).decode()


@built
def test_renders_a_chart(image: GetImage) -> None:
    helm = image("klipper-helm")
    for name, text in chart().items():
        path = helm.root / "tmp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = helm.run("helm", "template", "first", "/tmp/shop", "--set", "number=7")
    assert (done.code, done.err) == (0, "")
    assert '  name: first\ndata:\n  text: "the chart\'s own"\n  number: "7"\n' in done.out


@built
def test_says_what_is_wrong_with_the_pod(image: GetImage) -> None:
    helm = image("klipper-helm")
    done = helm.run(*helm.command("install"))
    assert done.code == 2
    assert done.err == "klipper-helm: NAME and TARGET_NAMESPACE are not both set\n"


def test_its_go_code_passes_its_own_tests(app: App) -> None:
    plan = app.plan(["amd64"], ["klipper-helm"])
    job = next(job for job in plan.jobs if job.recipe == "klipper-helm")
    options = job.loaded.recipe.go
    assert options
    with app.builder(isolated=True).prepared(job) as context:
        env = go_environment(options, context)
        context.run(["go", "test", "-trimpath", "./internal/klipper"], env=env)


# ---- against a real API, with Jobs that the real controller makes ----


@pytest.fixture(scope="module")
def cluster(
    app: App, target: Target, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    result = app.build(app.plan([target.name]))
    raise_failures(result)
    (bundle,) = result.bundles
    opened = open_cluster(bundle.path, target, tmp_path_factory.mktemp("cluster"))
    try:
        yield opened
    finally:
        opened.close()


@dataclass
class Shop:
    """A HelmChart object, and pods that do the Jobs which the controller makes of it."""

    cluster: Cluster
    helm: Unpacked

    def create(self, **spec: object) -> None:
        """Create the object, as soon as the API knows its kind."""
        body = {
            "apiVersion": "helm.cattle.io/v1",
            "kind": "HelmChart",
            "metadata": {"name": NAME},
            "spec": {"chartContent": packed(chart()), **spec},
        }
        wait_for(lambda: self.cluster.call("POST", CHARTS, body)[0] == 201)

    def job(self, action: str, hash_before: str = "") -> dict[str, Any]:
        """The controller's Job, as soon as it is another than that of `hash_before`."""

        def look() -> dict[str, Any] | None:
            status, found = self.cluster.call("GET", f"{JOBS}/helm-{action}-{NAME}")
            if status != 200 or config_hash(found) == hash_before:
                return None
            template: dict[str, Any] = found["spec"]["template"]
            return template

        found = wait_for(look)
        self._mount(found["spec"])
        return found

    def do(self, job: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Finished:
        """Run the Job's container as kubelet would."""
        container = job["spec"]["containers"][0]
        environment = {one["name"]: one.get("value", "") for one in container["env"]}
        address = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(PORT)}
        return self.helm.run(
            *self.helm.command(*container["args"]),
            env={**environment, **address, **(env or {})},
            net=self.cluster.net,
        )

    def set_values(self, values: Mapping[str, object]) -> None:
        """Write values into the pod, past the controller."""
        path = self.helm.root / "config" / "values-1-000-HelmChartConfig-ValuesContent.yaml"
        path.write_text(json.dumps(values))

    def text(self) -> dict[str, str] | None:
        """What the chart wrote into its ConfigMap."""
        status, answer = self.cluster.call("GET", f"{CORE}/configmaps/{NAME}")
        return answer["data"] if status == 200 else None

    def revisions(self) -> dict[int, str]:
        """The statuses of the release's revisions."""
        return {record["version"]: record["info"]["status"] for _, record in self._records()}

    def pretend(self, revision: int, status: str) -> None:
        """Give a revision another status."""
        path, record = self._records()[revision - 1]
        record["info"]["status"] = status
        data = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode())))
        change = {"metadata": {"labels": {"status": status}}, "data": {"release": data.decode()}}
        code, answer = self.cluster.call("PATCH", path, change)
        assert code == 200, answer

    def _records(self) -> list[tuple[str, dict[str, Any]]]:
        query = f"{CORE}/secrets?labelSelector=owner%3Dhelm%2Cname%3D{NAME}"
        found = []
        for secret in self.cluster.call("GET", query)[1]["items"]:
            data = base64.b64decode(base64.b64decode(secret["data"]["release"]))
            path = f"{CORE}/secrets/{secret['metadata']['name']}"
            found.append((path, json.loads(gzip.decompress(data))))
        return sorted(found, key=lambda one: one[1]["version"])

    def _mount(self, pod: Mapping[str, Any]) -> None:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in pod["containers"][0]["volumeMounts"]:
            folder = self.helm.root / mount["mountPath"].lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            for path, text in self._files(volumes[mount["name"]]):
                (folder / path).write_bytes(text)
            if "emptyDir" in volumes[mount["name"]]:
                folder.chmod(0o777)
        account = self.helm.root / ACCOUNT
        account.mkdir(parents=True, exist_ok=True)
        (account / "token").write_text(self._token(pod["serviceAccountName"]))
        (account / "ca.crt").write_text(self.cluster.authority)

    def _files(self, volume: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        if "configMap" in volume:
            name = volume["configMap"]["name"]
            data = self.cluster.call("GET", f"{CORE}/configmaps/{name}")[1].get("data") or {}
            yield from ((key, text.encode()) for key, text in data.items())
        for source in volume.get("projected", {}).get("sources", ()):
            name = source["secret"]["name"]
            data = self.cluster.call("GET", f"{CORE}/secrets/{name}")[1].get("data") or {}
            for item in source["secret"].get("items", ()):
                yield item["path"], base64.b64decode(data[item["key"]])

    def _token(self, account: str) -> str:
        path = f"{CORE}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}

        def ask() -> str | None:
            status, answer = self.cluster.call("POST", path, body)
            return str(answer["status"]["token"]) if status == 201 else None

        return wait_for(ask)


def config_hash(job: Mapping[str, Any]) -> str:
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    return str(annotations["helmcharts.helm.cattle.io/configHash"])


@built
def test_does_the_jobs_of_the_controller(cluster: Cluster, image: GetImage) -> None:
    """One release, from its installation to its end; a server takes a minute to start."""
    shop = Shop(cluster, image("klipper-helm"))

    shop.create(valuesContent="text: from the object", set={"number": 3}, timeout="2m0s")
    job = shop.job("install")
    done = shop.do(job)
    assert done.code == 0, done.err
    assert shop.text() == {"text": "from the object", "number": "3", "revision": "1"}
    assert shop.revisions() == {1: "deployed"}

    before = config_hash({"spec": {"template": job}})
    change = {"spec": {"valuesContent": "text: changed"}}
    assert cluster.call("PATCH", f"{CHARTS}/{NAME}", change)[0] == 200
    job = shop.job("install", before)
    done = shop.do(job)
    assert done.code == 0, done.err
    assert shop.text() == {"text": "changed", "number": "3", "revision": "2"}
    assert shop.revisions() == {1: "superseded", 2: "deployed"}

    # What a power cut in the middle of the upgrade leaves.
    shop.pretend(1, "deployed")
    shop.pretend(2, "pending-upgrade")
    shop.set_values({"text": "after the power cut"})
    done = shop.do(job, {"FAILURE_POLICY": "abort"})
    assert done.code == 0, done.err
    assert "its pending-upgrade was cut short" in done.err
    assert shop.text() == {"text": "after the power cut", "number": "3", "revision": "3"}
    assert shop.revisions() == {1: "superseded", 2: "failed", 3: "deployed"}

    shop.set_values(BROKEN)
    done = shop.do(job)
    assert done.code == 1
    assert "Not_A_Name" in done.err
    assert shop.revisions()[4] == "failed"

    shop.set_values({"text": "mended"})
    done = shop.do(job, {"FAILURE_POLICY": "abort"})
    assert done.code == 1
    assert "the release is failed, and the failure policy is abort" in done.err
    assert shop.revisions()[4] == "failed"
    assert max(shop.revisions()) == 4

    done = shop.do(job)
    assert done.code == 0, done.err
    assert shop.text() == {"text": "mended", "number": "3", "revision": "1"}
    assert shop.revisions() == {1: "deployed"}

    assert cluster.call("DELETE", f"{CHARTS}/{NAME}")[0] == 200
    done = shop.do(shop.job("delete"))
    assert done.code == 0, done.err
    assert shop.text() is None
    assert shop.revisions() == {}
