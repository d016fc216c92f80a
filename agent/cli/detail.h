/* All that is known of one service. */
#pragma once

#include "cli/document.h"
#include "cli/sheet.h"

void detail_print(const struct document_service *service, const struct sheet *sheet);
