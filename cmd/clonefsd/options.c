/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/clonefsd/defaults.h"
#include "cmd/clonefsd/settings.h"

#define DEFAULT_SCRUB_BYTES ((uint64_t) 8 << 20)

void options_print_usage(void)
{
    (void) printf(
        "usage: clonefsd [--root DIR] [--address SOCKET] [--config FILE] [--log-level LEVEL]\n"
        "       clonefsd --forget-snapshotter NAME [--root DIR] [--config FILE]\n"
        "       clonefsd --adopt-content DIR [--root DIR] [--config FILE]\n"
        "       clonefsd --probe DIR\n"
        "       clonefsd --version | --help\n"
        "\n"
        "  --root DIR                 the store; all of it on one volume\n"
        "                             (%s)\n"
        "  --address SOCKET           the unix socket to listen on\n"
        "                             (%s)\n"
        "  --config FILE              settings; flags given here go before them\n"
        "  --log-level LEVEL          error, warn, info or debug (info)\n"
        "  --forget-snapshotter NAME  remove all snapshots of the snapshotter NAME and exit; for\n"
        "                             when containerd's own root was wiped (daemon stopped)\n"
        "  --adopt-content DIR        take over the blobs of containerd's own content store DIR\n"
        "                             and exit (daemon stopped); DIR is\n"
        "                             CONTAINERD-ROOT/io.containerd.content.v1.content\n"
        "  --probe DIR                try what the volume of DIR can do, print one line for each\n"
        "                             answer, and what a start there would say, and exit\n"
        "  --version                  print the version and exit\n",
        defaults.root, defaults.address);
}

struct arguments {
    const char *root;
    const char *address;
    const char *config;
    const char *log_level;
    const char *forget_snapshotter;
    const char *adopt_content;
    const char *probe;
};

/* The place of a flag that takes a value, or NULL. */
static const char **find_flag(struct arguments *arguments, const char *name, size_t length)
{
    const struct {
        const char *name;
        const char **place;
    } flags[] = {{"--root", &arguments->root},
                 {"--address", &arguments->address},
                 {"--config", &arguments->config},
                 {"--log-level", &arguments->log_level},
                 {"--forget-snapshotter", &arguments->forget_snapshotter},
                 {"--adopt-content", &arguments->adopt_content},
                 {"--probe", &arguments->probe}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strlen(flags[i].name) == length && strncmp(flags[i].name, name, length) == 0)
            return flags[i].place;
    return NULL;
}

/* Takes the value of the flag argv[*inout_i], which may be in the next argument. */
static int take_value(int argc, char **argv, int *inout_i, const char **out_value,
                      struct error *error)
{
    const char *argument = argv[*inout_i];
    const char *equals = strchr(argument, '=');
    if (equals)
        *out_value = equals + 1;
    else if (*inout_i + 1 < argc)
        *out_value = argv[++*inout_i];
    else
        return error_set(error, ERROR_INVALID, "%s needs a value: clonefsd --help", argument);
    if (!(*out_value)[0])
        return error_set(error, ERROR_INVALID, "the value of %s must not be empty", argument);
    return 0;
}

static int read_arguments(int argc, char **argv, struct options *options,
                          struct arguments *out_arguments, struct error *error)
{
    int rc = 0;
    for (int i = 1; rc == 0 && i < argc; i++) {
        const char *argument = argv[i];
        const char **place = find_flag(out_arguments, argument, strcspn(argument, "="));
        if (place)
            rc = take_value(argc, argv, &i, place, error);
        else if (strcmp(argument, "--version") == 0)
            options->show_version = true;
        else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
            options->show_help = true;
        else
            rc = error_set(error, ERROR_INVALID,
                           "unknown option %s: clonefsd --help lists what there is", argument);
    }
    return rc;
}

/* Our Content service is not containerd's: a layer written to it would belong to nobody. */
static int check_containerds(const struct options *options, struct error *error)
{
    for (size_t i = 0; i < options->containerd_count; i++) {
        const char *address = options->containerds[i].address;
        if (address && strcmp(address, options->address) == 0)
            return error_set(error, ERROR_INVALID,
                             "%s is our own address: [containerd] needs that of containerd",
                             address);
    }
    return 0;
}

int options_read(int argc, char **argv, struct options *out_options, struct error *error)
{
    struct options *options = out_options;
    *options = (struct options){.root = mem_strdup(defaults.root),
                                .address = mem_strdup(defaults.address),
                                .log_level = LOG_LEVEL_INFO,
                                .snapshots = {.view = defaults.view},
                                .content = {.scrub_bytes_per_second = DEFAULT_SCRUB_BYTES},
                                .diff = {.durable = true, .limits = LAYER_LIMITS_DEFAULT}};
    struct arguments arguments = {0};
    int rc = read_arguments(argc, argv, options, &arguments, error);
    if (rc == 0 && arguments.config)
        rc = settings_load(arguments.config, options, error);
    if (rc == 0 && arguments.log_level)
        rc = setting_log_level(options, arguments.log_level, error);
    if (arguments.root)
        setting_text(&options->root, arguments.root);
    if (arguments.address)
        setting_text(&options->address, arguments.address);
    if (arguments.forget_snapshotter)
        setting_text(&options->forget_snapshotter, arguments.forget_snapshotter);
    if (arguments.adopt_content)
        setting_text(&options->adopt_content, arguments.adopt_content);
    if (arguments.probe)
        setting_text(&options->probe, arguments.probe);
    if (rc == 0 && (arguments.forget_snapshotter != NULL) + (arguments.adopt_content != NULL) +
                           (arguments.probe != NULL) >
                       1)
        rc = error_set(error, ERROR_INVALID,
                       "--forget-snapshotter, --adopt-content and --probe are three commands: "
                       "give one");
    return rc == 0 ? check_containerds(options, error) : rc;
}

void options_clear(struct options *options)
{
    mem_free(&options->root);
    mem_free(&options->address);
    mem_free(&options->forget_snapshotter);
    mem_free(&options->adopt_content);
    mem_free(&options->probe);
    for (size_t i = 0; i < options->containerd_count; i++) {
        mem_free(&options->containerds[i].snapshotter);
        mem_free(&options->containerds[i].address);
        mem_free(&options->containerds[i].namespace_name);
    }
    mem_free(&options->containerds);
    options->containerd_count = 0;
}
