---@meta forge

-- Made from the table of host calls, src/registry: not to be edited.

---@class forge
local forge = {}

---The null of JSON and YAML.
---@type lightuserdata
forge.null = nil

---Says how far the instance is.
---@param done number how much is done
---@param total? number of how much, if known
---@param text? string what is being done
function forge.progress(done, total, text) end

---A random UUID (version 4).
---@return string # 36 characters, lower case
function forge.uuid() end

---@class forge.extension.options
---@field config? table the model, models.Config

---Makes the handler that extension.lua returns.
---@param options? forge.extension.options what the handler is made of
---@return table # a handler to add methods to
function forge.extension(options) end

---Calls a function; an error becomes the second result: {code, message, hint, retryable}.
---@param f function called with the further arguments
---@param ... any its arguments
---@return any # what f returned; or nil and the error
function forge.try(f, ...) end

---@class forge.fail.error
---@field code? string default extension.error
---@field message string what went wrong
---@field hint? string what to do
---@field retryable? boolean whether another attempt may help; default true

---Raises an error with a code and a hint.
---@param error forge.fail.error what went wrong
function forge.fail(error) end

---Marks a table as a list, which it stays when it is empty.
---@param table? table default: a new one
---@return table # the same table
function forge.list(table) end

---Marks a table as a map, which it stays when it is empty.
---@param table? table default: a new one
---@return table # the same table
function forge.map(table) end

---Calls f, then cleanup: also when f fails, or when its task is cancelled. An error of f is raised after it.
---@param f function called first
---@param cleanup function called after it, however f ended
---@return any # what f returned
function forge.finally(f, cleanup) end

forge.log = {}

---Logs a line that is shown with -v.
---@param text string one line or several
---@param fields? table names and values kept with the line
function forge.log.debug(text, fields) end

---Logs a line.
---@param text string one line or several
---@param fields? table names and values kept with the line
function forge.log.info(text, fields) end

---Logs a warning.
---@param text string one line or several
---@param fields? table names and values kept with the line
function forge.log.warn(text, fields) end

---Logs an error; the instance goes on.
---@param text string one line or several
---@param fields? table names and values kept with the line
function forge.log.error(text, fields) end

forge.fs = {}

---Reads a whole file, at most 15 MiB.
---@param path string relative to the work folder, or absolute
---@return string # the content
function forge.fs.read(path) end

---Replaces a file as a whole, or makes it: whoever reads it sees the old content or the new.
---@param path string relative to the work folder, or absolute
---@param text string the whole content, any bytes
function forge.fs.write(path, text) end

---Adds to the end of a file, or makes it.
---@param path string relative to the work folder, or absolute
---@param text string the whole content, any bytes
function forge.fs.append(path, text) end

---Whether there is something of that name.
---@param path string relative to the work folder, or absolute
---@return boolean # whether it is there
function forge.fs.exists(path) end

---The names in a folder.
---@param path string relative to the work folder, or absolute
---@return any[] # names, sorted
function forge.fs.list(path) end

---The paths that match a pattern.
---@param pattern string `*`, `?`, `[abc]` within a name, `**` over folders
---@return any[] # paths, sorted
function forge.fs.glob(pattern) end

---@class forge.fs.stat.result
---@field type string file, folder, link or other
---@field size integer bytes
---@field modified number seconds since 1970

---What a path is; of a link itself, not of what it points to.
---@param path string relative to the work folder, or absolute
---@return forge.fs.stat.result # what a path is
function forge.fs.stat(path) end

---Makes a folder and those above it.
---@param path string relative to the work folder, or absolute
function forge.fs.mkdir(path) end

---Removes a file, or a folder with all that is in it.
---@param path string relative to the work folder, or absolute
---@return boolean # whether it was there
function forge.fs.remove(path) end

---Copies a file; `from` needs an entry in `read`, `to` one in `write`.
---@param from string an existing file
---@param to string the new name; replaced if it exists
function forge.fs.copy(from, to) end

---Renames a file or folder; `from` needs an entry in `read` and one in `write`, `to` one in `write`.
---@param from string an existing file
---@param to string the new name; replaced if it exists
function forge.fs.move(from, to) end

forge.http = {}

---@class forge.http.request.request
---@field url string http:// or https://
---@field method? string default GET, or POST where there is a body
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.request.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes an HTTP request.
---@param request forge.http.request.request what to ask for
---@return forge.http.request.result # the answer
function forge.http.request(request) end

---@class forge.http.get.options
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.get.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes a GET request.
---@param url string http:// or https://
---@param options? forge.http.get.options as in http.request
---@return forge.http.get.result # the answer
function forge.http.get(url, options) end

---@class forge.http.head.options
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.head.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes a HEAD request.
---@param url string http:// or https://
---@param options? forge.http.head.options as in http.request
---@return forge.http.head.result # the answer
function forge.http.head(url, options) end

---@class forge.http.post.options
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.post.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes a POST request.
---@param url string http:// or https://
---@param options? forge.http.post.options as in http.request
---@return forge.http.post.result # the answer
function forge.http.post(url, options) end

---@class forge.http.put.options
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.put.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes a PUT request.
---@param url string http:// or https://
---@param options? forge.http.put.options as in http.request
---@return forge.http.put.result # the answer
function forge.http.put(url, options) end

---@class forge.http.patch.options
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.patch.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes a PATCH request.
---@param url string http:// or https://
---@param options? forge.http.patch.options as in http.request
---@return forge.http.patch.result # the answer
function forge.http.patch(url, options) end

---@class forge.http.delete.options
---@field headers? table by name; a list gives the header several times
---@field query? table names and values or lists of values, added to the URL's own
---@field json? any a value, sent as JSON
---@field form? table names and values, sent as application/x-www-form-urlencoded
---@field multipart? table by name: a text, {file = path, filename = …, type = …}, {text = …, …}, or a list of these, sent as multipart/form-data; files need `read`
---@field body? string any bytes
---@field body_file? string path of a file that is sent, of any size; needs `read`
---@field to_file? string path that the body of an answer of status 2xx is written to, of any size; needs `write`; the answer then has `path` and `size` in place of `body`
---@field token? string sent as `Authorization: Bearer`; dropped, as Authorization and Cookie are, when a redirect leads to another host or port, or from https to http
---@field user? string with `password`, sent as basic credentials; dropped as `token` is
---@field password? string default empty
---@field timeout? number seconds of each attempt, over all redirects; default 60
---@field connect_timeout? number seconds; default 10
---@field max_size? integer bytes of the body; default 15 MiB, the most in memory, and none with to_file
---@field follow? boolean whether redirects are followed; default true
---@field max_redirects? integer from 0 to 50; default 10
---@field retry? any attempts in all, or {attempts, delay = 0.5 (seconds, doubled each time), max_delay = 30 (seconds), any_method = false}: after failures of the connection and the statuses 408, 429, 500, 502, 503 and 504, as Retry-After says, if that is within max_delay; not for POST and PATCH unless any_method is true
---@field proxy? string http://[user:password@]host:port, the host named by an entry of `http` itself; it looks the names up, so that private addresses cannot be told: every host asked through it needs an entry without a wildcard that a person wrote
---@field raise? boolean a status of 400 or more is an error; default false

---@class forge.http.delete.result
---@field status integer such as 200
---@field headers table by lower-case name; repeated ones joined by ", "
---@field body? string any bytes, at most 15 MiB; none where it is in a file
---@field path? string of the file, with to_file
---@field size? integer bytes of the file, with to_file
---@field url string after redirects
---@field json function answer:json() decodes the body

---Makes a DELETE request.
---@param url string http:// or https://
---@param options? forge.http.delete.options as in http.request
---@return forge.http.delete.result # the answer
function forge.http.delete(url, options) end

forge.download = {}

---@class forge.download.file.options
---@field sha256? string 64 hexadecimal digits; nothing else appears under the path
---@field md5? string 32 hexadecimal digits, for lists that have nothing better
---@field mirrors? any[] further URLs, tried in turn; each needs its permission
---@field headers? table by name; Authorization and Cookie are not sent to mirrors and redirects of another host or port
---@field token? string sent as `Authorization: Bearer`, as far as Authorization is
---@field user? string with `password`, sent as basic credentials, as far as Authorization is
---@field password? string default empty
---@field timeout? number seconds, over all sources; default none, but a minute without a byte is a break
---@field max_size? integer bytes; default none
---@field cache? boolean whether files are taken from, and kept in, the cache of the state folder; default true where sha256 is given and no credentials are

---@class forge.download.file.result
---@field path string as it was given
---@field size integer bytes
---@field sha256 string of the file, also where none was expected
---@field md5? string where it was expected
---@field from_cache boolean whether no server was asked
---@field url string the source that it came from, before redirects

---Fetches a file, which appears under its name as a whole or not at all; a break is gone on with, also in the next attempt. Needs `http` for the host of the URL, of each mirror and each redirect, and `write` for the path.
---@param url string http:// or https://; file:// where `read` covers the path
---@param path string relative to the work folder, or absolute; its folder must be there
---@param options? forge.download.file.options what is expected, and how to get it
---@return forge.download.file.result # what came
function forge.download.file(url, path, options) end

---@class forge.download.all.options
---@field parallel? integer files at a time, from 1 to 64; default 16

---Fetches many files at a time. The error names the first file that failed; those that came stay.
---@param files any[] tables {url = …, path = …} with the options of download.file; `parallel` may stand in the same table
---@param options? forge.download.all.options for all of them
---@return any[] # what download.file returns, in the same order
function forge.download.all(files, options) end

forge.git = {}

---@class forge.git.clone.options
---@field ref? string branch, tag or commit; default the other side's own branch
---@field submodules? boolean also submodules, from granted hosts; default false
---@field credentials? table {token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret
---@field known_hosts? string keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts
---@field accept_new? boolean trusts a host whose key is not known; default false
---@field depth? integer not supported: refused
---@field timeout? number seconds, after which it is ended; default 600

---@class forge.git.clone.result
---@field path string as it was given
---@field head table {commit, branch}; no branch for a tag or commit
---@field url string without credentials

---Clones a repository. A network address needs an entry in `git`, a path one in `read`; the folder one in `write`. Hooks and programs that a repository names never run. An address that resolves to this machine or a private network needs an entry that names the host itself; the address that was checked is the one that is connected to. What was fetched is kept in a mirror, which later runs only bring up to date.
---@param url string https://, http://, ssh://, user@host:path, file:// or a path
---@param path string a new folder; it appears as a whole
---@param options? forge.git.clone.options what to clone, and as whom
---@return forge.git.clone.result # the repository, with the calls of git as methods: repo:log{max = 1}
function forge.git.clone(url, path, options) end

---@class forge.git.open.options
---@field timeout? number seconds, after which it is ended; default 600

---@class forge.git.open.result
---@field path string as it was given
---@field head table {commit, branch}; no branch for a tag or commit
---@field bare boolean it has no files

---A repository that is there, all of it in its own folder.
---@param path string of the repository
---@param options? forge.git.open.options limits
---@return forge.git.open.result # the repository, with the calls of git as methods
function forge.git.open(path, options) end

---@class forge.git.ls_remote.options
---@field credentials? table {token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret
---@field known_hosts? string keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts
---@field accept_new? boolean trusts a host whose key is not known; default false
---@field timeout? number seconds, after which it is ended; default 600

---The branches and tags of another repository.
---@param url string https://, http://, ssh://, user@host:path, file:// or a path
---@param options? forge.git.ls_remote.options as whom
---@return any[] # {name, commit, target of a symbolic one}
function forge.git.ls_remote(url, options) end

---@class forge.git.fetch.options
---@field remote? string its name; default origin
---@field refspecs? any[] default those of the remote
---@field prune? boolean removes remote branches that are gone; default false
---@field credentials? table {token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret
---@field known_hosts? string keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts
---@field accept_new? boolean trusts a host whose key is not known; default false
---@field timeout? number seconds, after which it is ended; default 600

---Fetches from a remote, whose host needs an entry in `git`.
---@param path string of the repository
---@param options? forge.git.fetch.options what, and as whom
---@return any[] # {ref, old, new} of what has changed
function forge.git.fetch(path, options) end

---@class forge.git.push.options
---@field remote? string its name; default origin
---@field force? boolean also where commits of the other side are lost; default false
---@field credentials? table {token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret
---@field known_hosts? string keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts
---@field accept_new? boolean trusts a host whose key is not known; default false
---@field timeout? number seconds, after which it is ended; default 600

---Pushes to a remote, whose host needs an entry in `git`.
---@param path string of the repository
---@param refspecs any a branch, tag or refspec such as refs/heads/a:refs/heads/b, or a list of these
---@param options? forge.git.push.options where to, and as whom
---@return any[] # names of what was pushed
function forge.git.push(path, refspecs, options) end

---@class forge.git.checkout.options
---@field force? boolean overwrites changed files; default false
---@field submodules? boolean updates submodules, too; default false
---@field credentials? table {token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret
---@field known_hosts? string keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts
---@field accept_new? boolean trusts a host whose key is not known; default false
---@field timeout? number seconds, after which it is ended; default 600

---@class forge.git.checkout.result
---@field commit? string 40 hexadecimal digits; none where there is none
---@field branch? string none for a tag or commit

---Checks out a branch, tag or commit. Changed files that it would overwrite are kept, and it is refused.
---@param path string of the repository
---@param ref string branch, tag or commit
---@param options? forge.git.checkout.options how
---@return forge.git.checkout.result # what is checked out now
function forge.git.checkout(path, ref, options) end

---@class forge.git.submodules.options
---@field credentials? table {token}, {user, password}, {user, ssh_key, passphrase}: the texts themselves, from a secret
---@field known_hosts? string keys of ssh hosts, as in OpenSSH's file; default the operator's ~/.ssh/known_hosts
---@field accept_new? boolean trusts a host whose key is not known; default false
---@field timeout? number seconds, after which it is ended; default 600

---Brings all submodules, and theirs, to the commits that the repository names; their hosts need entries in `git`.
---@param path string of the repository
---@param options? forge.git.submodules.options as whom
---@return any[] # {path, commit}
function forge.git.submodules(path, options) end

---@class forge.git.log.options
---@field max? integer how many commits; default 100
---@field path? string only commits that change it
---@field ref? string where to begin; default HEAD
---@field timeout? number seconds, after which it is ended; default 600

---The history of a branch, tag or commit.
---@param path string of the repository
---@param options? forge.git.log.options which commits
---@return any[] # {commit, author {name, email}, time, message, parents}, newest first
function forge.git.log(path, options) end

---@class forge.git.status.options
---@field timeout? number seconds, after which it is ended; default 600

---What differs from the last commit.
---@param path string of the repository
---@param options? forge.git.status.options limits
---@return any[] # {path, staged, unstaged}: added, modified, deleted, typechange, untracked, conflicted
function forge.git.status(path, options) end

---@class forge.git.diff_names.options
---@field timeout? number seconds, after which it is ended; default 600

---The files in which two commits differ.
---@param path string of the repository
---@param from string branch, tag or commit
---@param to string branch, tag or commit
---@param options? forge.git.diff_names.options limits
---@return any[] # {path, status, from of a renamed one}: added, modified, deleted, renamed
function forge.git.diff_names(path, from, to, options) end

---@class forge.git.add.options
---@field timeout? number seconds, after which it is ended; default 600

---Puts changed, new and deleted files into the next commit.
---@param path string of the repository
---@param paths any a path below the repository, `.` for all, or a list of these
---@param options? forge.git.add.options limits
function forge.git.add(path, paths, options) end

---@class forge.git.commit.options
---@field author table {name, email}; also the committer
---@field time? number seconds since 1970; default now
---@field allow_empty? boolean also where nothing has changed; default false
---@field timeout? number seconds, after which it is ended; default 600

---Makes a commit.
---@param path string of the repository
---@param message string what was done and why
---@param options forge.git.commit.options who
---@return string # the commit
function forge.git.commit(path, message, options) end

---@class forge.git.branch.options
---@field ref? string what it begins at; default HEAD
---@field force? boolean moves one that is there; default false
---@field timeout? number seconds, after which it is ended; default 600

---Makes a branch.
---@param path string of the repository
---@param name string without refs/heads/
---@param options? forge.git.branch.options where
---@return string # its commit
function forge.git.branch(path, name, options) end

---@class forge.git.tag.options
---@field ref? string what it names; default HEAD
---@field message? string makes an annotated tag; needs `author`
---@field author? table {name, email}, of an annotated tag
---@field time? number seconds since 1970, of an annotated tag; default now
---@field force? boolean moves one that is there; default false
---@field timeout? number seconds, after which it is ended; default 600

---Makes a tag.
---@param path string of the repository
---@param name string without refs/tags/
---@param options? forge.git.tag.options what it names
---@return string # the tag, or its commit
function forge.git.tag(path, name, options) end

forge.archive = {}

---@class forge.archive.list.options
---@field max_files? integer entries at most; default 1000000
---@field max_size? integer bytes that it may unpack to; default 8 GiB
---@field max_ratio? number of unpacked to packed, above 64 MiB; default 200
---@field timeout? number seconds; default 3600

---What is in an archive: tar, also with gzip, bzip2, xz or zstd, and zip.
---@param archive string path of a tar or zip file
---@param options? forge.archive.list.options limits
---@return any[] # {path, type (file, folder, link, hard link or other), size, mode, mtime, target of a link}
function forge.archive.list(archive, options) end

---@class forge.archive.extract.options
---@field strip? integer leading parts of names that are left out; default 0
---@field include? any[] globs over the names in the archive, `*` also over folders; default all
---@field into? boolean adds to a folder that is there, replacing files; default false
---@field max_files? integer entries at most; default 1000000
---@field max_size? integer bytes that it may unpack to; default 8 GiB
---@field max_ratio? number of unpacked to packed, above 64 MiB; default 200
---@field timeout? number seconds; default 3600

---@class forge.archive.extract.result
---@field files integer files and links that were written
---@field bytes integer their content

---Extracts an archive into a new folder. Refused as a whole: names that lead out, links that may, devices, anything that comes twice, more than the limits, passwords. Owners and the bits for other users to write or to run as somebody else are dropped. `archive` needs an entry in `read`, `folder` one in `write`.
---@param archive string path of a tar or zip file
---@param folder string path; it appears as a whole
---@param options? forge.archive.extract.options what to extract, and limits
---@return forge.archive.extract.result # what was written
function forge.archive.extract(archive, folder, options) end

---@class forge.archive.create.options
---@field mtime? number seconds since 1970, of all entries: the same files give the same bytes; default the files' own
---@field timeout? number seconds; default 3600

---@class forge.archive.create.result
---@field files integer files and links in it
---@field bytes integer their content
---@field size integer of the archive, bytes

---Makes an archive, or replaces it: sorted by name, without owners. `source` needs an entry in `read`, `archive` one in `write`.
---@param archive string path; .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tar.zst or .zip says the format
---@param source any path of a folder, for what is in it, or a list of paths, for those
---@param options? forge.archive.create.options times and limits
---@return forge.archive.create.result # what was archived
function forge.archive.create(archive, source, options) end

forge.process = {}

---@class forge.process.run.options
---@field env? table names and values, added to what every program gets
---@field cwd? string the working folder; default: the work folder
---@field stdin? string what it reads; default: nothing
---@field timeout? number seconds; then SIGTERM, two seconds later SIGKILL; default: the attempt's own
---@field max_output? integer bytes kept of stdout, and of stderr: the first half and the last; default 1 MiB
---@field check? boolean another exit status than 0 is an error; default false
---@field on_line? function on_line(line, stream), called as lines come; stream is stdout or stderr

---@class forge.process.run.result
---@field code integer exit status; -1 where a signal ended it
---@field signal? string such as SIGKILL
---@field stdout string any bytes
---@field stderr string any bytes
---@field truncated boolean whether there was more output than is kept
---@field cpu_ms integer CPU time, with that of children it waited for
---@field max_rss integer bytes of memory at most

---Runs a program and waits for its end. All that it started ends with it.
---@param argv any[] the program's name and its arguments; there is no shell
---@param options? forge.process.run.options how to run it
---@return forge.process.run.result # how it ended
function forge.process.run(argv, options) end

---@class forge.process.start.options
---@field env? table names and values, added to what every program gets
---@field cwd? string the working folder; default: the work folder
---@field stdin? string what it reads; default: nothing
---@field timeout? number seconds; then SIGTERM, two seconds later SIGKILL; default: the attempt's own
---@field max_output? integer bytes kept of stdout, and of stderr: the first half and the last; default 1 MiB
---@field check? boolean another exit status than 0 is an error; default false

---Starts a program, whose lines process.read gives.
---@param argv any[] the program's name and its arguments; there is no shell
---@param options? forge.process.start.options how to run it
---@return integer # for process.read and process.kill
function forge.process.start(argv, options) end

---@class forge.process.read.result
---@field lines any[] {text, stream}, …: whole lines, without their ends
---@field result? table as from process.run, when it has ended

---Waits for more lines of a program, or for its end.
---@param program integer from process.start
---@return forge.process.read.result # what has come
function forge.process.read(program) end

---Ends a program and all that it started; process.read tells of its end.
---@param program integer from process.start
function forge.process.kill(program) end

forge.env = {}

---The value of an environment variable of pangeo-forge.
---@param name string letters, digits and _
---@return string # its value; nil where it is not set
function forge.env.get(name) end

forge.secret = {}

---The value of a secret, which is kept out of everything that people and files get to see.
---@param name string as in `secrets`
---@return string # its value
function forge.secret.get(name) end

---Keeps a value out of everything that people and files get to see from now on.
---@param value string at least 6 bytes
function forge.secret.mark(value) end

forge.time = {}

---The time of day.
---@return number # seconds since 1970
function forge.time.now() end

---Waits.
---@param seconds number how long, from 0 to 86400
function forge.time.sleep(seconds) end

---A time as text, to the nearest microsecond.
---@param seconds number seconds since 1970, of the years 0 to 9999
---@param format? string strftime's words that docs/stdlib.md lists; default RFC 3339
---@return string # in UTC, with English names
function forge.time.format(seconds, format) end

---The time that a text says. A text with a time of day has to name its zone.
---@param text string 2026-11-21T10:12:05.5+01:00, 2026-11-21T10:12Z, 2026-11-21, or Sat, 21 Nov 2026 10:12:05 GMT
---@return number # seconds since 1970
function forge.time.parse(text) end

forge.json = {}

---@class forge.json.encode.options
---@field pretty? boolean one line for each item, two spaces for each level; default false

---JSON text of a value. The same value always gives the same text.
---@param value any nil, boolean, number, text, or a table of these
---@param options? forge.json.encode.options how it looks
---@return string # JSON, keys sorted; compact, unless `pretty`
function forge.json.encode(value, options) end

---@class forge.json.decode.options
---@field positions? boolean also return a table from path (`recipes[1].id`) to {line, column}; default false

---The value of JSON text (RFC 8259), nested at most 64 levels deep. Of a key that is given twice, the last counts.
---@param text string UTF-8
---@param options? forge.json.decode.options what else to return
---@return any # the value; with `positions` a second result
function forge.json.decode(text, options) end

forge.yaml = {}

---YAML text of a value.
---@param value any nil, boolean, number, text, or a table of these
---@return string # YAML in block style, keys sorted
function forge.yaml.encode(value) end

---@class forge.yaml.decode.options
---@field positions? boolean also return a table from path (`recipes[1].id`) to {line, column}; default false

---The value of YAML text (one document).
---@param text string UTF-8
---@param options? forge.yaml.decode.options what else to return
---@return any # the value; with `positions` a second result
function forge.yaml.decode(text, options) end

forge.digest = {}

---The MD5 of a text: to compare with what others give, not to protect anything.
---@param text string any bytes
---@return string # 32 hexadecimal digits, lower case
function forge.digest.md5(text) end

---The SHA-1 of a text: to compare with what others give, not to protect anything.
---@param text string any bytes
---@return string # 40 hexadecimal digits, lower case
function forge.digest.sha1(text) end

---The SHA-256 of a text.
---@param text string any bytes
---@return string # 64 hexadecimal digits, lower case
function forge.digest.sha256(text) end

---The SHA-512 of a text.
---@param text string any bytes
---@return string # 128 hexadecimal digits, lower case
function forge.digest.sha512(text) end

---The HMAC of a text with SHA-256 (RFC 2104).
---@param key string any bytes
---@param text string any bytes
---@return string # 64 hexadecimal digits, lower case
function forge.digest.hmac_sha256(key, text) end

forge.hex = {}

---Hexadecimal digits of any bytes.
---@param text string any bytes
---@return string # two digits for each byte, lower case
function forge.hex.encode(text) end

---The bytes of hexadecimal digits of either case.
---@param text string any bytes
---@return string # any bytes
function forge.hex.decode(text) end

forge.base64 = {}

---@class forge.base64.encode.options
---@field url? boolean the alphabet for URLs and file names, `-` and `_`, written without padding; default false

---Base64 of any bytes (RFC 4648).
---@param text string any bytes
---@param options? forge.base64.encode.options which alphabet
---@return string # base64
function forge.base64.encode(text, options) end

---@class forge.base64.decode.options
---@field url? boolean the alphabet for URLs and file names, `-` and `_`, written without padding; default false

---The bytes of a base64 text, with or without padding.
---@param text string any bytes
---@param options? forge.base64.decode.options which alphabet
---@return string # any bytes
function forge.base64.decode(text, options) end

forge.async = {}

---Starts a task. It runs up to its first call that waits.
---@param f function runs as a task, side by side with others
---@param ... any its arguments
---@return any # the task
function forge.async.spawn(f, ...) end

---Waits for a task; its error is raised here. A task may be awaited more than once.
---@param task any from spawn
---@return any # what its function returned
function forge.async.await(task) end

---Waits for all tasks. The first error cancels the others and is raised.
---@param tasks any[] tasks, or functions that become tasks
---@return any[] # the first result of each, in order
function forge.async.all(tasks) end

---Waits for the first task to end, well or badly, and cancels the others.
---@param tasks any[] tasks, or functions that become tasks
---@return any # what the first to end returned
function forge.async.race(tasks) end

---@class forge.async.map.options
---@field limit? integer how many at once, from 1; default 8

---Calls a function for each item, side by side. The first error cancels the others and is raised.
---@param list any[] the items
---@param f function f(item, index)
---@param options? forge.async.map.options how many at once
---@return any[] # the first result of each call, in order
function forge.async.map(list, f, options) end

---Ends a task: async.cancelled is raised where it waits. What it had asked for is dropped.
---@param task any from spawn
---@return boolean # whether it was still running
function forge.async.cancel(task) end

forge.template = {}

---@class forge.template.render.options
---@field name? string stands before LINE:COLUMN in messages; default template
---@field filters? table further filters: name -> function(value, …) that returns a value
---@field max_output? integer bytes; default 16777216

---Fills in a template. It is interpreted: no Lua in it is run.
---@param text string the template; see docs/stdlib.md
---@param values? table what names stand for; default none
---@param options? forge.template.render.options how to render
---@return string # the text
function forge.template.render(text, values, options) end

return forge
