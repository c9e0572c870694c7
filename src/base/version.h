// The version of the program; extension.yaml's `requires.core` is compared with it.
#pragma once

namespace pf {
inline constexpr const char* kVersion = PF_VERSION;
}
