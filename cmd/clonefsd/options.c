/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/config.h"
#include "base/mem.h"

#define DEFAULT_ROOT "/var/lib/clonefs"
#define DEFAULT_SCRUB_BYTES ((uint64_t) 8 << 20)
#define DEFAULT_ADDRESS "/run/clonefs/clonefs.sock"

const char options_usage[] =
    "usage: clonefsd [--root DIR] [--address SOCKET] [--config FILE] [--log-level LEVEL]\n"
    "       clonefsd --forget-snapshotter NAME [--root DIR] [--config FILE]\n"
    "       clonefsd --adopt-content DIR [--root DIR] [--config FILE]\n"
    "       clonefsd --version | --help\n"
    "\n"
    "  --root DIR                 the store; all of it on one volume (" DEFAULT_ROOT ")\n"
    "  --address SOCKET           the unix socket to listen on (" DEFAULT_ADDRESS ")\n"
    "  --config FILE              settings; flags given here go before them\n"
    "  --log-level LEVEL          error, warn, info or debug (info)\n"
    "  --forget-snapshotter NAME  remove all snapshots of the snapshotter NAME and exit; for\n"
    "                             when containerd's own root was wiped (daemon stopped)\n"
    "  --adopt-content DIR        take over the blobs of containerd's own content store DIR and\n"
    "                             exit (daemon stopped); DIR is\n"
    "                             CONTAINERD-ROOT/io.containerd.content.v1.content\n"
    "  --version                  print the version and exit\n";

/* A setting that takes text; out is replaced. */
static void set_text(char **out, const char *value)
{
    mem_free(out);
    *out = mem_strdup(value);
}

static int set_log_level(struct options *options, const char *value, struct error *error)
{
    if (log_level_parse(value, &options->log_level))
        return 0;
    return error_set(error, ERROR_INVALID,
                     "\"%s\" is no log level: choose error, warn, info or debug", value);
}

static int set_view(struct options *options, const char *value, struct error *error)
{
    if (strcmp(value, "readonly-bind") == 0)
        options->snapshots.view = SNAPSHOT_VIEW_READONLY_BIND;
    else if (strcmp(value, "private-clone") == 0)
        options->snapshots.view = SNAPSHOT_VIEW_PRIVATE_CLONE;
    else
        return error_set(error, ERROR_INVALID,
                         "\"%s\" is no kind of view: choose readonly-bind or private-clone", value);
    return 0;
}

static int check_type(const struct config_value *value, enum config_type type, const char *key,
                      struct error *error)
{
    if (value->type == type)
        return 0;
    return error_set(error, ERROR_INVALID, "%s must be a %s", key,
                     type == CONFIG_STRING ? "\"string\"" : "number");
}

static int set_number(unsigned *out, const struct config_value *value, const char *key,
                      unsigned scale, struct error *error)
{
    int rc = check_type(value, CONFIG_INTEGER, key, error);
    if (rc != 0)
        return rc;
    if (value->integer < 1 || value->integer > 86400)
        return error_set(error, ERROR_INVALID, "%s must be from 1 to 86400", key);
    *out = (unsigned) value->integer * scale;
    return 0;
}

static int set_top(struct options *options, const char *key, const struct config_value *value,
                   struct error *error)
{
    bool known =
        strcmp(key, "root") == 0 || strcmp(key, "address") == 0 || strcmp(key, "log_level") == 0;
    int rc = known ? check_type(value, CONFIG_STRING, key, error) : 0;
    if (rc != 0)
        return rc;
    if (strcmp(key, "root") == 0)
        set_text(&options->root, value->string);
    else if (strcmp(key, "address") == 0)
        set_text(&options->address, value->string);
    else if (strcmp(key, "log_level") == 0)
        return set_log_level(options, value->string, error);
    else
        return error_set(error, ERROR_INVALID,
                         "unknown key %s: the keys here are root, address and log_level", key);
    return 0;
}

static int set_snapshots(struct options *options, const char *key, const struct config_value *value,
                         struct error *error)
{
    struct snapshotter_options *snapshots = &options->snapshots;
    if (strcmp(key, "view") == 0) {
        int rc = check_type(value, CONFIG_STRING, key, error);
        return rc == 0 ? set_view(options, value->string, error) : rc;
    }
    if (strcmp(key, "clone_threads") == 0)
        return set_number(&snapshots->clone_threads, value, key, 1, error);
    if (strcmp(key, "usage_refresh_seconds") == 0)
        return set_number(&snapshots->usage_refresh_ms, value, key, 1000, error);
    if (strcmp(key, "flush_delay_seconds") == 0)
        return set_number(&snapshots->flush_delay_ms, value, key, 1000, error);
    return error_set(error, ERROR_INVALID,
                     "unknown key %s: the keys of [snapshots] are view, clone_threads, "
                     "usage_refresh_seconds and flush_delay_seconds",
                     key);
}

/* The scrub's pace: 0 switches it off. */
static int set_scrub_rate(struct content_options *content, const struct config_value *value,
                          const char *key, struct error *error)
{
    int rc = check_type(value, CONFIG_INTEGER, key, error);
    if (rc != 0)
        return rc;
    if (value->integer < 0 || value->integer > 65536)
        return error_set(error, ERROR_INVALID, "%s must be from 0 to 65536", key);
    content->scrub_bytes_per_second = (uint64_t) value->integer << 20;
    return 0;
}

static int set_content(struct options *options, const char *key, const struct config_value *value,
                       struct error *error)
{
    if (strcmp(key, "scrub_mib_per_second") == 0)
        return set_scrub_rate(&options->content, value, key, error);
    if (strcmp(key, "scrub_days") == 0)
        return set_number(&options->content.scrub_days, value, key, 1, error);
    return error_set(error, ERROR_INVALID,
                     "unknown key %s: the keys of [content] are scrub_mib_per_second and "
                     "scrub_days",
                     key);
}

static int set_from_file(void *context, const char *section, const char *key,
                         const struct config_value *value, struct error *error)
{
    struct options *options = context;
    if (section[0] == '\0')
        return set_top(options, key, value, error);
    if (strcmp(section, "snapshots") == 0)
        return set_snapshots(options, key, value, error);
    if (strcmp(section, "content") == 0)
        return set_content(options, key, value, error);
    return error_set(error, ERROR_INVALID,
                     "unknown section [%s]: there are [snapshots] and [content]", section);
}

struct arguments {
    const char *root;
    const char *address;
    const char *config;
    const char *log_level;
    const char *forget_snapshotter;
    const char *adopt_content;
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
                 {"--adopt-content", &arguments->adopt_content}};
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

int options_read(int argc, char **argv, struct options *out_options, struct error *error)
{
    struct options *options = out_options;
    *options = (struct options){.root = mem_strdup(DEFAULT_ROOT),
                                .address = mem_strdup(DEFAULT_ADDRESS),
                                .log_level = LOG_LEVEL_INFO,
                                .content = {.scrub_bytes_per_second = DEFAULT_SCRUB_BYTES}};
    struct arguments arguments = {0};
    int rc = read_arguments(argc, argv, options, &arguments, error);
    if (rc == 0 && arguments.config)
        rc = config_load(arguments.config, set_from_file, options, error);
    if (rc == 0 && arguments.log_level)
        rc = set_log_level(options, arguments.log_level, error);
    if (arguments.root)
        set_text(&options->root, arguments.root);
    if (arguments.address)
        set_text(&options->address, arguments.address);
    if (arguments.forget_snapshotter)
        set_text(&options->forget_snapshotter, arguments.forget_snapshotter);
    if (arguments.adopt_content)
        set_text(&options->adopt_content, arguments.adopt_content);
    if (rc == 0 && arguments.forget_snapshotter && arguments.adopt_content)
        rc = error_set(error, ERROR_INVALID,
                       "--forget-snapshotter and --adopt-content are two commands: give one");
    return rc;
}

void options_clear(struct options *options)
{
    mem_free(&options->root);
    mem_free(&options->address);
    mem_free(&options->forget_snapshotter);
    mem_free(&options->adopt_content);
}
