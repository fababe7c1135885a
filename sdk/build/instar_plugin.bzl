# SPDX-License-Identifier: Apache-2.0
"""How a plugin of this repository is built."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")
load("//sdk/build:cxx_runtime.bzl", "CXX_RUNTIME", "CXX_RUNTIME_FEATURES")

_VERSION_SCRIPT = "//sdk/build:plugin.lds"

# What a plugin may depend on: the SDK, a third-party library, its own package.
_ALLOWED = ("//sdk/abi", "//sdk/cpp", "//third_party")

def _check_deps(name, deps):
    own = "//" + native.package_name()
    for dep in deps:
        if dep.startswith(":") or dep == own or dep.startswith(own + ":"):
            continue
        if not dep.startswith(_ALLOWED):
            fail("plugin %s: may not depend on %s: only on the SDK and its own library" % (name, dep))

def instar_plugin(name, srcs, hdrs = [], deps = [], manifest = "plugin.json", linkopts = [], copts = [], **kwargs):
    """Builds NAME.so and its manifest NAME.json.

    Targets: NAME (both files), NAME.so, NAME.json, and NAME_lib, the code as a library for unit tests.

    Args:
      name: of the library, without ".so"; a command's begins with "command-".
      srcs: sources; one of them has the entry (INSTAR_PLUGIN).
      hdrs: headers.
      deps: of //sdk, //third_party or the plugin's own package.
      manifest: the author's manifest.
      linkopts: more options for the linker.
      copts: more options for the compiler.
      **kwargs: visibility, and such.
    """
    _check_deps(name, deps)

    # The kit tests plugins in instrumented builds.
    kwargs.setdefault("visibility", ["//sdk/conformance:__subpackages__"])
    cc_library(
        name = name + "_lib",
        srcs = srcs,
        hdrs = hdrs,
        copts = ["-fvisibility=hidden"] + copts,
        # Hidden symbols can't be reached in a shared library of its own.
        linkstatic = True,
        deps = deps,
        **kwargs
    )
    cc_binary(
        name = name + ".so",
        linkshared = True,
        features = CXX_RUNTIME_FEATURES,
        linkopts = linkopts + [
            "-Wl,-u,instar_plugin_entry_v1",
            "-Wl,--version-script=$(location %s)" % _VERSION_SCRIPT,
            "-Wl,-soname,%s.so" % name,
            "-Wl,-z,defs",
            "-Wl,--build-id=sha1",
        ] + CXX_RUNTIME,
        deps = [
            ":%s_lib" % name,
            _VERSION_SCRIPT,
        ],
        **kwargs
    )
    native.genrule(
        name = name + "_manifest",
        srcs = [
            manifest,
            ":%s.so" % name,
        ],
        outs = [name + ".json"],
        cmd = "$(location //tools:manifest_gen) --manifest $(location %s) --library $(location :%s.so) --output $@" % (manifest, name),
        tools = ["//tools:manifest_gen"],
        **kwargs
    )
    native.filegroup(
        name = name,
        srcs = [
            ":%s.so" % name,
            ":%s.json" % name,
        ],
        # tools/install finds the plugins by this tag.
        tags = ["instar_plugin"],
        **kwargs
    )
