-- Deletes a document. $1 project, $2 name
DELETE FROM documents WHERE project = $1 AND name = $2
