-- What the linter may take for granted about the Lua of this project: the sandbox's globals, no more, so that `io`,
-- `os` or `load` in an extension is an error here and not only when it runs.
stds.sandbox = {
  read_globals = {
    "_VERSION", "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget",
    "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall",
    coroutine = { fields = { "create", "isyieldable", "resume", "running", "status", "wrap", "yield" } },
    math = { other_fields = true },
    string = {
      fields = {
        "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper",
      },
    },
    table = { fields = { "concat", "insert", "maxn", "move", "remove", "sort" } },
    bit = { other_fields = true },
  },
}
std = "sandbox"
max_line_length = 120
unused_args = false
-- Made from the table of host calls, whose sentences are as long as they are.
files["lua/meta"] = { max_line_length = false }
