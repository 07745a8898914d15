# One image for every process: api, worker, dispatcher and the migrations; the command says which (docker-compose.yml).
# The code runs as it is (Node strips the types), so building is installing. The optional packages `node` and
# `embedded-postgres` stay out: the image brings Node, and the database is a server of its own.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY . .
RUN npm pkg delete optionalDependencies \
  && npm install --no-save --omit=dev --no-audit --no-fund --loglevel=error

FROM node:24-bookworm-slim
# The options are those of packages/process/src/node-flags.ts.
ENV NODE_ENV=production NODE_COMPILE_CACHE=/tmp/node-compile-cache \
  NODE_OPTIONS="--disable-warning=ExperimentalWarning --max-semi-space-size=8 --max-old-space-size=1024"
WORKDIR /app
COPY --from=packages --chown=root:root /app /app
# The volume of shared files takes over this folder's owner when it is first made.
RUN mkdir /files && chown node:node /files
USER node
EXPOSE 3000 9090
CMD ["node", "apps/api/src/main.ts"]
