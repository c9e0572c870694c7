#include "registry/namespaces.h"

namespace pf::registry {
namespace {

using P = Permission;
using T = Type;

constexpr Argument kName[] = {{"name", T::string, false, "letters, digits and _"}};

constexpr Call kCalls[] = {
    {"env.get",
     Place::core,
     P::env,
     true,
     kName,
     {T::string, "its value; nil where it is not set"},
     {},
     "The value of an environment variable of pangeo-forge."},
};

}  // namespace

std::span<const Call> env_calls() { return kCalls; }

}  // namespace pf::registry
