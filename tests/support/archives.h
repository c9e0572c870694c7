// Archives made byte by byte, also ones that no archiver would make.
#pragma once

#include <cstdint>
#include <string>

namespace pf::test {

/// One tar entry (ustar): `type` as in its header, '0' file, '1' hard link, '2' link, '3' device, '5' folder,
/// '6' pipe.
std::string tar_entry(const std::string& name, char type, const std::string& content = "",
                      const std::string& target = "", unsigned mode = 0644, uint64_t mtime = 1000000000);
/// The end of a tar file.
std::string tar_end();
/// A zip file of one stored entry; `flags` 1: says that it is encrypted.
std::string zip_of(const std::string& name, const std::string& content, uint16_t flags = 0);

}  // namespace pf::test
