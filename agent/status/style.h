/* How the page looks: on a desk and on a phone, by day and by night. */
#pragma once

/* clang-format off */
#define STYLE                                                                                      \
    ":root{color-scheme:light dark;--ground:#f6f6f3;--paper:#fff;--ink:#1c2226;--soft:#59636d;"    \
    "--line:#e3e4e1;--good:#17754a;--warn:#8a5700;--bad:#b3261e;--wash:#fcf1ef}"                   \
    "@media(prefers-color-scheme:dark){:root{--ground:#13171a;--paper:#1a1f23;--ink:#e2e6e9;"      \
    "--soft:#98a3ad;--line:#2b3237;--good:#5fcb93;--warn:#e3b357;--bad:#ff8d83;--wash:#2b1e1e}}"   \
    "*{box-sizing:border-box}"                                                                     \
    "body{margin:0;background:var(--ground);color:var(--ink);"                                     \
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}"              \
    "main{max-width:76rem;margin:0 auto;padding:2rem 1.25rem 3rem}"                                \
    "h1{font-size:1.5rem;line-height:1.2;font-weight:650;letter-spacing:-.01em;margin:0}"          \
    "h1 span{color:var(--soft);font-weight:400}"                                                   \
    "h2{font-size:1rem;font-weight:650;margin:2.25rem 0 .6rem}"                                    \
    "h2 small{margin-left:.5rem;font-weight:400}"                                                  \
    "p{margin:.35rem 0 0}small,.soft{font-size:.8667rem;color:var(--soft)}small{display:block}"    \
    "h2 small{display:inline}"                                                                     \
    "td,th,dd,li,small{unicode-bidi:isolate;overflow-wrap:anywhere}"                               \
    ".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}"                       \
    ".idle{color:var(--soft)}"                                                                     \
    ".state{font-weight:600;white-space:nowrap}"                                                   \
    ".state::before{content:'';display:inline-block;width:.55em;height:.55em;border-radius:50%;"   \
    "background:currentColor;margin-right:.5em;vertical-align:.07em}"                              \
    ".state.idle::before{background:none;box-shadow:inset 0 0 0 2px currentColor}"                 \
    ".note{margin-top:1rem;padding:.7rem 1rem;background:var(--wash);border-left:3px solid "       \
    "var(--bad);border-radius:0 6px 6px 0}"                                                        \
    ".note ul{margin:.3rem 0 0;padding-left:1.1rem}"                                               \
    ".sheet{background:var(--paper);border:1px solid var(--line);border-radius:8px}"               \
    "table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}"                 \
    "th,td{padding:.65rem .9rem;text-align:left;vertical-align:top;border-top:1px solid "          \
    "var(--line);font-weight:400}"                                                                 \
    "thead th{border-top:0;font-size:.8rem;color:var(--soft);padding:.55rem .9rem;"                \
    "white-space:nowrap}"                                                                          \
    "tbody th b{font-weight:600}.who{width:21%;min-width:12rem}"                                    \
    ".days .bad{font-weight:600}"                                                                  \
    ".days{white-space:nowrap}.days span{display:block}.days i{font-style:normal;"                 \
    "font-weight:400;color:var(--soft);display:inline-block;min-width:4.7em}"                      \
    ".why{width:33%}.ink{color:var(--ink)}"                                                        \
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem;"          \
    "margin:0;padding:.9rem}"                                                                      \
    "dt{font-size:.8rem;color:var(--soft)}dd{margin:0}"                                            \
    "footer{margin-top:2.5rem}"                                                                    \
    "@media(max-width:46rem){main{padding:1.25rem .75rem 2rem}"                                    \
    "thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}"           \
    "table,tbody,tr,th,td{display:block}.who,.why{width:auto}"                                     \
    "tr{padding:.75rem .9rem;border-top:1px solid var(--line)}tbody tr:first-child{border-top:0}"  \
    "th,td{border:0;padding:0}td{margin-top:.35rem}td:empty{display:none}"                         \
    "td[data-label]{display:grid;grid-template-columns:6.5rem 1fr}"                                \
    "td[data-label]::before{content:attr(data-label);font-size:.8667rem;color:var(--soft)}"        \
    "td>*{grid-column:2}}"
/* clang-format on */
