// The paths of calls: the check of one against `read` or `write`, and the opening of what it allows.
#pragma once

#include <string_view>

#include "api/attempt.h"

namespace pf::api {

/// A path that a grant allows, or one of the work folder.
struct GrantedPath {
  FilePlace place;
  registry::Permission permission = registry::Permission::none;
};
/// Checks a path against one list; paths of the work folder pass. A refusal is recorded. On the loop's
/// thread.
Result<GrantedPath> check_path(Attempt& attempt, const registry::Call& call, std::string_view path,
                               registry::Permission permission);
/// Opens the folder that the check allowed. On a thread of a pool. Errors as services::Folder.
Result<OpenPlace> open_granted_place(Attempt& attempt, const FilePlace& place);
/// Opens a file for reading. On a thread of a pool. Errors as services::Folder.
Result<UniqueFd> open_granted(Attempt& attempt, const GrantedPath& path);
/// The folder and name of a file that will be written. On a thread of a pool.
Result<services::FileTarget> target_of(Attempt& attempt, const GrantedPath& path);
/// Notes that the content of a path is about to be read, unless it is the attempt's own. On a thread of a
/// pool. Errors as services::Folder.
Result<void> note_content(Attempt& attempt, const GrantedPath& path);
/// Notes that the attempt made what is at a path.
void note_written(Attempt& attempt, const GrantedPath& path);
/// What `file.outside` is to the extension: a refusal, which is recorded. Other errors pass.
Error recorded(Attempt& attempt, const registry::Call& call, const GrantedPath& path, Error error);

}  // namespace pf::api
