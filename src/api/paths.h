// Which folder a path of an extension lies in, and how that folder is opened: the `read` and `write`
// permissions. find_place() is pure; open_place() touches files and is called on the door's pool.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "api/door.h"
#include "base/error.h"
#include "services/files.h"

namespace pf::api {

/// Where an operation happens: beneath `root`, at `rest`.
struct FilePlace {
  bool work = false;    // root is the work folder
  std::string root;     // absolute, normalised
  std::string rest;     // relative to root; `.` is root itself
  bool literal = true;  // the grant was written by a person: links on the way to root are the person's own
  std::string
      guard;         // a folder above root that an extension may write in: no link counts between it and root
  std::string text;  // the whole path, absolute and normalised, for messages and the audit record
};

/// An opened folder, and the path in it.
struct OpenPlace {
  services::Folder folder;
  std::string path;
};

/// Removes `.`, empty parts and `..` from a path, on paper. False where `..` leads above the start.
bool normalise(std::string_view path, std::string& out);

/// The place that `path` means. `granted` are the entries of the list that the call needs; `written` those of
/// `write`. Errors: `file.path`; `permission.path` where nothing grants it (the caller gives it its final
/// code).
Result<FilePlace> find_place(std::string_view path, const std::filesystem::path& work_folder,
                             const std::vector<Grants::Entry>& granted,
                             const std::vector<Grants::Entry>& written);

/// Opens a granted place; not for the work folder. Errors as services::Folder.
Result<OpenPlace> open_place(const FilePlace& place);

}  // namespace pf::api
