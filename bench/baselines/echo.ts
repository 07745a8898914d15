import express from 'express'
import { settings } from './plain/settings.ts'

const app = express()
app.use(express.json())
app.get('/readyz', (_, response) => {
  response.end()
})
app.post('/v1/predictions', (request, response) => {
  response.status(201).json(request.body)
})
app.listen(settings().port, '127.0.0.1')
