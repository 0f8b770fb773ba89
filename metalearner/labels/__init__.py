"""Labels from elsewhere, a module per format; each returns `Said`, and `said.matched` finds whose they are.

table    CSV, wide or long
coco     COCO: boxes, polygons, RLE masks, keypoints
cvat     CVAT for images 1.1: boxes, polygons, masks, points, tags
reports  our own Structured Reports (TID 1500)
truth    phantoms' truth.json
answers  the ledger's feedback
"""
