#include "api/granted_path.h"

namespace pf::api {

using registry::Permission;

Result<OpenPlace> open_granted_place(Attempt& attempt, const FilePlace& place) {
  if (attempt.stop) return fail("file.stopped", "the attempt has ended");
  if (!place.work) return open_place(place);
  auto work = attempt.work();
  if (!work) return tl::unexpected(work.error());
  auto folder = (*work)->below(".");
  if (!folder) return tl::unexpected(folder.error());
  return OpenPlace{std::move(*folder), place.rest};
}

Result<GrantedPath> check_path(Attempt& attempt, const registry::Call& call, std::string_view path,
                               Permission permission) {
  const Caller& caller = attempt.caller;
  auto place = find_place(path, caller.work_folder,
                          permission == Permission::write ? caller.grants.write : caller.grants.read,
                          caller.grants.write);
  if (place) return GrantedPath{std::move(*place), permission};
  if (place.error().code != "permission.path")
    return bad_argument(call, place.error().message, place.error().hint);
  const bool relative = path.front() != '/';
  Error error = attempt.refuse(
      call, permission,
      place.error().message +
          (relative ? "" : ", which no entry of `" + std::string(registry::key(permission)) + "` covers"),
      path, relative ? "/the/absolute/path" : place.error().message);
  if (relative) {
    error.hint =
        "a relative path stays below the work folder; for others give the absolute path, and " + error.hint;
  }
  return tl::unexpected(std::move(error));
}

Result<UniqueFd> open_granted(Attempt& attempt, const GrantedPath& path) {
  auto opened = open_granted_place(attempt, path.place);
  if (!opened) return tl::unexpected(opened.error());
  return opened->folder.open_file(opened->path);
}

Result<services::FileTarget> target_of(Attempt& attempt, const GrantedPath& path) {
  auto opened = open_granted_place(attempt, path.place);
  if (!opened) return tl::unexpected(opened.error());
  return opened->folder.target(opened->path);
}

Result<void> note_content(Attempt& attempt, const GrantedPath& path) {
  if (path.place.work || attempt.reads.own(path.place.text)) return {};
  auto opened = open_granted_place(attempt, path.place);
  if (!opened) return tl::unexpected(opened.error());
  auto version = content_version(*opened, &attempt.stop);
  if (!version) return tl::unexpected(version.error());
  attempt.reads.add("file", path.place.text, std::move(*version));
  return {};
}

void note_written(Attempt& attempt, const GrantedPath& path) {
  if (!path.place.work) attempt.reads.wrote(path.place.text);
}

Error recorded(Attempt& attempt, const registry::Call& call, const GrantedPath& path, Error error) {
  if (error.code != "file.outside") return error;
  return attempt.refuse(call, path.permission, error.message, path.place.text,
                        path.place.work ? "/the/real/path" : path.place.text);
}

}  // namespace pf::api
