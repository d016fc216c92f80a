/* Values about sockets: where callers and the status endpoint are found, and where the
 * backends are. */
#pragma once

#include "config/value.h"

extern const struct value_type value_net_listen;  /* struct config_listen */
extern const struct value_type value_net_status;  /* struct config_status */
extern const struct value_type value_net_address; /* struct config_address */
extern const struct value_type value_net_user;    /* uid_t */
extern const struct value_type value_net_group;   /* gid_t */
extern const struct value_type value_net_mode;    /* mode_t */
