# SPDX-License-Identifier: Apache-2.0
"""Build rules of the core."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")
load("//sdk/build:cxx_runtime.bzl", "CXX_RUNTIME", "CXX_RUNTIME_FEATURES")

def _headers_only_impl(ctx):
    infos = [CcInfo(compilation_context = dep[CcInfo].compilation_context) for dep in ctx.attr.deps]
    return [cc_common.merge_cc_infos(cc_infos = infos)]

_headers_only = rule(
    implementation = _headers_only_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo])},
    doc = "The headers of some libraries without their code.",
)

def _whole(ctx, features, toolchain, library):
    return cc_common.create_library_to_link(
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = toolchain,
        static_library = library.static_library,
        pic_static_library = library.pic_static_library,
        alwayslink = True,
    )

def _whole_archives_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )

    linking = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps]).linking_context
    inputs = [
        cc_common.create_linker_input(
            owner = linker_input.owner,
            libraries = depset([
                _whole(ctx, features, toolchain, library)
                for library in linker_input.libraries
            ]),
            user_link_flags = depset(linker_input.user_link_flags),
            additional_inputs = depset(linker_input.additional_inputs),
        )
        for linker_input in linking.linker_inputs.to_list()
    ]
    context = cc_common.create_linking_context(linker_inputs = depset(inputs, order = "topological"))
    return [CcInfo(linking_context = context)]

_whole_archives = rule(
    implementation = _whole_archives_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    doc = "Libraries of which the linker takes every object, not only those that something refers to.",
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def instar_shared_library(name, soname, exports, deps, visibility = None):
    """A shared library made of cc_libraries, and a target to link to it.

    Args:
      name: what users put in their deps: the headers of deps, and the shared library.
      soname: the file's name, such as "libinstar-core.so.1".
      exports: a linker version script.
      deps: the libraries that it is made of; who depends on NAME must not depend on them too.
      visibility: of all targets.
    """
    _whole_archives(
        name = name + "_code",
        deps = deps,
    )
    cc_binary(
        name = soname,
        linkopts = [
            "-Wl,-soname," + soname,
            # What it calls of itself is bound here, not looked up by name at every start.
            "-Wl,-Bsymbolic-functions",
            "-Wl,--version-script=$(location %s)" % exports,
            "-Wl,-z,defs",
        ] + CXX_RUNTIME,
        linkshared = True,
        features = CXX_RUNTIME_FEATURES,
        visibility = visibility,
        deps = [
            exports,
            ":%s_code" % name,
        ],
    )
    _headers_only(
        name = name + "_headers",
        deps = deps,
    )
    cc_library(
        name = name,
        srcs = [":" + soname],
        visibility = visibility,
        deps = [":%s_headers" % name],
    )
