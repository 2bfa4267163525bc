import ast, json, sys, warnings

warnings.simplefilter("ignore")
path = sys.argv[1]
with open(path, "rb") as f:
    source = f.read()


def said(line, column, text, msg):
    print(json.dumps({"error": {"line": line or 0, "column": column or 0, "text": text or "", "msg": msg}}))
    sys.exit(0)


try:
    tree = ast.parse(source, path)
    compile(tree, path, "exec", dont_inherit=True)
except SyntaxError as e:
    kind = "" if type(e) is SyntaxError else type(e).__name__ + ": "
    said(e.lineno, e.offset, e.text, kind + str(e.msg))
except (ValueError, RecursionError, MemoryError) as e:
    said(0, 0, "", str(e) or type(e).__name__)

names, functions, loose = [], [], False


def bind(target):
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            names.append(node.id)


def scan(body):
    global loose
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
            if not isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                a = node.args
                least = len(a.args) + len(getattr(a, "posonlyargs", [])) - len(a.defaults)
                most = len(a.args) + len(getattr(a, "posonlyargs", []))
                if least <= 2 and (most >= 2 or a.vararg):
                    functions.append(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for n in node.names:
                if n.name == "*":
                    loose = True
                names.append(n.asname or n.name.split(".")[0])
        elif isinstance(node, (ast.Assign, ast.Delete)):
            for t in node.targets:
                bind(t)
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            bind(node.target)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            text = ast.dump(node.value)
            loose = loose or "'exec'" in text or "'globals'" in text or "'setattr'" in text
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                scan(getattr(node, field, []) if isinstance(getattr(node, field, []), list) else [])
        for h in getattr(node, "handlers", []):
            scan(h.body)


scan(tree.body)
# a module may answer for names that it does not define
loose = loose or "__getattr__" in names
print(json.dumps({"functions": functions, "names": names, "open": loose}))
