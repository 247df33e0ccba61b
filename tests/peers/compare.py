#!/usr/bin/env python3
"""Compares what two API servers on one etcd say of the same objects, whichever of them wrote.

    compare.py --one KUBECONFIG --two KUBECONFIG [--bodies GOLDEN] [--stored TESTDATA --etcd ENDPOINT] [--only REGEX]

--bodies: a folder of recorded cases; every object they create is created at each server and read at both, while both
are watched; then each server changes what the other made. --stored: a folder with GROUP.VERSION.KIND.pb as in the
testdata of the Go module k8s.io/api; each is put into etcd as it is, by etcdctl, and read at both. Services are made at
both at once. Prints every difference and exits 1 if there is one.
"""
import argparse, base64, glob, http.client, json, os, re, ssl, subprocess, sys, tempfile, threading, uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlparse

differences = 0
DONE = "compare-done"


def differ(what, text):
    global differences
    differences += 1
    print(f"DIFFERENT {what}\n    {text}", flush=True)


class Server:
    def __init__(self, name, path):
        self.name = name
        text = subprocess.run(["kubectl", "config", "view", "--raw", "-o", "json", "--kubeconfig", path],
                              check=True, capture_output=True).stdout
        config = json.loads(text)
        self.host = urlparse(config["clusters"][0]["cluster"]["server"]).netloc
        user = config["users"][0]["user"]
        self.tls = ssl._create_unverified_context()
        with tempfile.NamedTemporaryFile() as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[part]) + b"\n")
            file.flush()
            self.tls.load_cert_chain(file.name)
        self.local = threading.local()

    def connect(self):
        return http.client.HTTPSConnection(self.host, context=self.tls, timeout=120)

    def call(self, method, path, body=None, kind="application/json"):
        for attempt in (0, 1):
            connection = getattr(self.local, "connection", None) or self.connect()
            self.local.connection = connection
            try:
                data = None if body is None else json.dumps(body)
                connection.request(method, path, data, {"Content-Type": kind, "Accept": "application/json"})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read() or b"null")
            except (http.client.HTTPException, OSError):
                self.local.connection = None
                if attempt:
                    raise

    def watch(self, path, revision, seen):
        """Gathers events until the object that ends it comes."""
        connection = self.connect()
        separator = "&" if "?" in path else "?"
        connection.request("GET", f"{path}{separator}watch=1&resourceVersion={revision}", headers={"Accept": "application/json"})
        for line in connection.getresponse():
            event = json.loads(line)
            seen.append(event)
            if event["type"] == "ERROR" or DONE in event["object"].get("metadata", {}).get("labels", {}):
                return


def walk(one, two, path=""):
    """Paths at which two values differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            if key not in one:
                yield f"{path}/{key}: only two has {json.dumps(two[key])[:200]}"
            elif key not in two:
                yield f"{path}/{key}: only one has {json.dumps(one[key])[:200]}"
            else:
                yield from walk(one[key], two[key], f"{path}/{key}")
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for number, (a, b) in enumerate(zip(one, two)):
            yield from walk(a, b, f"{path}/{number}")
    elif one != two or type(one) is not type(two):
        yield f"{path}: {json.dumps(one)[:200]} and {json.dumps(two)[:200]}"


def compare(what, one, two):
    for difference in walk(one, two):
        differ(what, difference)


def read_both(servers, path, what):
    answers = [server.call("GET", path) for server in servers]
    if answers[0][0] != answers[1][0]:
        told = [f"{server.name} {status} {value.get('message', '')}" for server, (status, value) in zip(servers, answers)]
        differ(what, " and ".join(told))
    elif answers[0] != answers[1]:
        for _, value in answers:
            # Only etcd of before 1.20 has it, and nobody reads it.
            value.get("metadata", {}).pop("selfLink", None)
        compare(what, *[{"status": status, "object": value} for status, value in answers])
    return answers


def resources(server):
    """Path of the collection, by (apiVersion, kind), of what can be listed."""
    found = {}
    paths = ["/api/v1"]
    for group in server.call("GET", "/apis")[1]["groups"]:
        paths += ["/apis/" + version["groupVersion"] for version in group["versions"]]
    for path in paths:
        for resource in server.call("GET", path)[1].get("resources", []):
            if "/" not in resource["name"] and "list" in resource["verbs"]:
                version = path.split("/", 2)[2]
                found[version, resource["kind"]] = (path, resource["name"], resource["namespaced"])
    return found


def bodies(folder, only):
    """Every object that a recorded case creates, once, with the number of its case."""
    seen = set()
    for file in sorted(glob.glob(folder + "/cases/*.json")):
        for case in json.load(open(file)):
            if only and not re.search(only, case["id"]) or "crds" in case["id"]:
                continue
            for step in case["steps"]:
                if step.get("method") != "POST" or step.get("expect", {}).get("status") != 201 or "body" not in step:
                    continue
                text = json.dumps([step["path"], step["body"]], sort_keys=True)
                if text not in seen and not re.search(r"\{\{(?!u\}\})", text) and not re.search("dryRun", json.dumps(step)):
                    seen.add(text)
                    yield case["id"], step


def create_at_each(servers, args, kinds):
    made = []

    def one(numbered):
        number, (case, step), server = numbered
        u = f"{number}{server.name}{uuid.uuid4().hex[:4]}"
        text = json.dumps([step["path"], step["body"]]).replace("{{u}}", u)
        path, body = json.loads(text)
        if (body.get("apiVersion"), body.get("kind")) not in kinds:
            return
        # Two objects may not want one node port.
        if body["kind"] == "Service":
            for port in body.get("spec", {}).get("ports", []):
                port.pop("nodePort", None)
            for fixed in ("clusterIP", "clusterIPs"):
                if str(body.get("spec", {}).get(fixed, "")).strip("[]'") not in ("None", ""):
                    body["spec"].pop(fixed)
        namespace = re.search("/namespaces/([^/]+)/", path)
        # Of two default classes the second is refused.
        body.pop("globalDefault", None)
        if namespace:
            space = {"metadata": {"name": namespace[1], "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
            server.call("POST", "/api/v1/namespaces", space)
            account = {"metadata": {"name": "default"}}
            server.call("POST", f"/api/v1/namespaces/{namespace[1]}/serviceaccounts", account)
        status, answer = server.call("POST", path, body)
        what = f"{case} made at {server.name}"
        if status != 201:
            print(f"refused: {what}: {status} {answer.get('message')}"[:300], flush=True)
            return
        if "name" not in answer.get("metadata", {}):
            return
        where = f"{path.split('?')[0]}/{answer['metadata']['name']}"
        answers = read_both(servers, where, what)
        if answers[0][0] == 200:
            compare(what + ", answer and reading", answer, answers[0][1])
            made.append((where, what, server, answer))

    work = [(n, body, server) for n, body in enumerate(bodies(args.bodies, args.only)) for server in servers]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, work))
    return made


def change_what_the_other_made(servers, made):
    changed = 0

    def one(entry):
        nonlocal changed
        where, what, server, before = entry
        other = servers[1] if server is servers[0] else servers[0]
        patch = {"metadata": {"labels": {"changed": other.name}}}
        status, answer = other.call("PATCH", where, patch, "application/merge-patch+json")
        if status != 200:
            differ(what, f"{other.name} cannot change it: {status} {answer.get('message')}")
            return
        applied = {"apiVersion": before["apiVersion"], "kind": before["kind"],
                   "metadata": {"name": before["metadata"]["name"], "annotations": {"applied": server.name}}}
        if "namespace" in before["metadata"]:
            applied["metadata"]["namespace"] = before["metadata"]["namespace"]
        status, answer = server.call("PATCH", where + "?fieldManager=compare&force=true", applied, "application/apply-patch+yaml")
        if status != 200:
            differ(what, f"{server.name} cannot apply to what {other.name} changed: {status} {answer.get('message')}")
        stale = dict(before, metadata=dict(before["metadata"], labels={"late": "1"}))
        status, refused = other.call("PUT", where, stale)
        if status != 409:
            differ(what, f"{other.name} takes a stale update: {status} {refused.get('message')}")
        read_both(servers, where, what + ", changed")
        changed += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, made))
    return changed


def begin_watches(servers, kinds):
    watches = {}
    for path, name, _ in kinds.values():
        if name in ("events", "leases"):
            continue
        revision = servers[0].call("GET", f"{path}/{name}?limit=1")[1]["metadata"]["resourceVersion"]
        seen = [[], []]
        threads = [threading.Thread(target=server.watch, args=(f"{path}/{name}", revision, events), daemon=True)
                   for server, events in zip(servers, seen)]
        for thread in threads:
            thread.start()
        watches[path, name] = (threads, seen)
    return watches


def end_watches(servers, watches, made):
    """The last change of each kind is marked; both must have told the same until there."""
    count = 0
    for (path, name), (threads, (one, two)) in watches.items():
        mine = [where for where, *_ in made if where.startswith(path + "/") and where.split("/")[-2] == name]
        if not mine:
            continue
        patch = {"metadata": {"labels": {DONE: "1"}}}
        status, answer = servers[0].call("PATCH", mine[-1], patch, "application/merge-patch+json")
        if status != 200:
            differ(name, f"the last change is refused: {answer.get('message')}")
            continue
        for thread in threads:
            thread.join(60)
        brief = [[(e["type"], e["object"]["metadata"].get("namespace"), e["object"]["metadata"]["name"],
                   e["object"]["metadata"]["resourceVersion"]) for e in events if e["type"] != "BOOKMARK"]
                 for events in (one, two)]
        if brief[0] != brief[1]:
            at = next((n for n, pair in enumerate(zip(*brief)) if pair[0] != pair[1]), min(map(len, brief)))
            differ(f"watches of {name}", f"{len(brief[0])} and {len(brief[1])} events; at {at}: "
                   f"{brief[0][at:at + 3]} and {brief[1][at:at + 3]}")
        else:
            for first, second in zip(one, two):
                compare(f"watched {name}", first, second)
            count += len(one)
    return count


def allocate_at_both(servers, each):
    space = f"alloc-{uuid.uuid4().hex[:6]}"
    servers[0].call("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    path = f"/api/v1/namespaces/{space}/services"

    def one(number):
        server = servers[number % 2]
        body = {"metadata": {"name": f"s{number}"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
        status, answer = server.call("POST", path, body)
        if status != 201:
            differ(f"service {number} at {server.name}", f"{status} {answer.get('message')}")
        return answer

    with ThreadPoolExecutor(8) as pool:
        services = list(pool.map(one, range(2 * each)))
    services = [service for service in services if service.get("kind") == "Service"]
    addresses = {service["spec"]["clusterIP"] for service in services}
    ports = {service["spec"]["ports"][0]["nodePort"] for service in services}
    if (len(addresses), len(ports)) != (len(services), len(services)):
        differ("allocation", f"{len(services)} services, {len(addresses)} addresses, {len(ports)} node ports")
    # What the other one gave out is refused, and free again when the other one let go of it.
    for server, other in (servers, servers[::-1]):
        of_other = services[servers.index(other)]  # the first two were made one at each
        address, port = of_other["spec"]["clusterIP"], of_other["spec"]["ports"][0]["nodePort"]
        for field in ({"clusterIP": address, "ports": [{"port": 80}]},
                      {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}):
            status, answer = server.call("POST", path, {"metadata": {"name": "taken"}, "spec": field})
            if status == 201:
                server.call("DELETE", f"{path}/taken")
            if status != 422 or "allocated" not in answer["message"]:
                differ(f"{server.name} and what is allocated at {other.name}", f"{status} {answer.get('message')}")
        other.call("DELETE", f"{path}/{of_other['metadata']['name']}")
        spec = {"type": "NodePort", "clusterIP": address, "ports": [{"port": 80, "nodePort": port}]}
        status, answer = server.call("POST", path, {"metadata": {"name": "again-" + server.name}, "spec": spec})
        if status != 201:
            differ(f"{server.name} and what is free again at {other.name}", f"{status} {answer.get('message')}")
    listed = [{item["metadata"]["name"] for item in server.call("GET", path)[1]["items"]} for server in servers]
    if listed[0] != listed[1]:
        differ("lists of services", str(listed[0] ^ listed[1]))
    return len(services)


SPECIAL = {"services": "services/specs", "endpoints": "services/endpoints", "nodes": "minions",
           "ingresses": "ingress", "ingressclasses": "ingressclasses"}


def read_stored(servers, args, kinds):
    count = 0
    for file in sorted(glob.glob(args.stored + "/*.pb")):
        parts = os.path.basename(file)[:-3].split(".")
        group, version, kind = ".".join(parts[:-2]), parts[-2], parts[-1]
        api = version if group == "core" else f"{group}/{version}"
        if args.only and not re.search(args.only, os.path.basename(file)):
            continue
        found = kinds.get((api, kind))
        if not found:
            continue
        path, name, namespaced = found
        decoded = json.load(open(file[:-3] + ".json"))["metadata"]
        key = "/registry/" + SPECIAL.get(name, name) + (f"/{decoded['namespace']}" if namespaced else "") + f"/{decoded['name']}"
        put = ["etcdctl", "--endpoints", args.etcd, "put", key]
        subprocess.run(put, input=open(file, "rb").read(), check=True, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"})
        where = path + (f"/namespaces/{decoded['namespace']}" if namespaced else "") + f"/{name}/{decoded['name']}"
        read_both(servers, where, f"stored {api} {kind}")
        count += 1
        if not args.keep:
            subprocess.run(put[:3] + ["del", key], check=True, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"})
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--one", "--two", "--bodies", "--stored", "--etcd", "--only"):
        parser.add_argument(name)
    parser.add_argument("--keep", action="store_true", help="leave what was put into etcd there")
    parser.add_argument("--services", type=int, default=100, help="made at each server")
    args = parser.parse_args()
    servers = [Server("one", args.one), Server("two", args.two)]
    both = [resources(server) for server in servers]
    kinds = {key: value for key, value in both[0].items() if key in both[1]}
    print(f"{len(kinds)} kinds are served by both", flush=True)
    if args.stored:
        print(f"{read_stored(servers, args, kinds)} stored objects were read at both", flush=True)
    if args.bodies:
        watches = begin_watches(servers, kinds)
        made = create_at_each(servers, args, kinds)
        print(f"{len(made)} objects were made and read at both", flush=True)
        print(f"{change_what_the_other_made(servers, made)} objects were changed by who did not make them", flush=True)
        print(f"{end_watches(servers, watches, made)} events were told by both alike", flush=True)
    print(f"{allocate_at_both(servers, args.services)} services got addresses and ports", flush=True)
    print(f"{differences} differences")
    sys.exit(1 if differences else 0)


main()
