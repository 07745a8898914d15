import { whenGone } from '@millrace/process/when-gone'

/**
 * Has a database server stopped, in order, when nobody is left who works with it: after a kill -9 of the supervisor its
 * apps drain first, so they hold the lifeline, too. The port tells the server of this run from one that a later start
 * has brought up on the same folder meanwhile.
 */
export function guardServer(folder: string, port: number): ReturnType<typeof whenGone> {
  return whenGone(stopServer, folder, String(port))
}

// The first and the fourth line of this file are the server's pid and port. SIGINT is its fast, clean shutdown.
const stopServer = `
  { read -r pid; read -r _; read -r _; read -r port; } < "$1/postmaster.pid" || exit
  [ "$port" = "$2" ] && kill -s INT "$pid"`
