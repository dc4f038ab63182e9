"""Small tables written as public ones are: UCI's and Kaggle's, by their descriptions. What is in them is drawn, or
shipped (iris); how they are written is what matters.

A table is files, the <data> line that reads them, and what a reader must find: rows of numbers and texts with a class
each, those to train and, where they have files of their own, those to test."""

import gzip
import math
import os
import random
import struct

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Table:
    """rows, test_rows: [(values, class)]; values are numbers, or texts where a column is one of categories; scaled:
    numbers are standardised, else divided by 255; train, test: how many rows do."""

    def __init__(self, name, data, files, rows, test_rows=(), scaled=True, test=None):
        self.name, self.data, self.files, self.scaled = name, data, files, scaled
        self.rows, self.test_rows = list(rows), list(test_rows)
        self.test = len(self.test_rows) or test or len(self.rows) // 5
        self.train = len(self.rows) - (0 if self.test_rows else self.test)
        self.classes = len({row[1] for row in self.rows})

    def write(self, folder):
        for name, content in self.files.items():
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(content if isinstance(content, bytes) else content.encode())

    def inputs(self):
        """How many a reader makes of them: one a number, one a value of a category."""
        columns = list(zip(*(values for values, _ in self.rows)))
        return sum(len(set(column)) if isinstance(column[0], str) else 1 for column in columns)


def lines(rows):
    return "".join(row + "\n" for row in rows)


def iris():
    """Kaggle's Iris.csv: numbered rows, species by name, sorted."""
    with open(os.path.join(SOURCE, "models", "data", "iris.csv"), encoding="utf-8") as stream:
        read = [line.strip().split(",") for line in stream if line[0].isdigit()]
    names = ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]
    rows = [([float(value) for value in row[:4]], int(row[4])) for row in read]
    text = "Id,SepalLengthCm,SepalWidthCm,PetalLengthCm,PetalWidthCm,Species\n" + lines(
        ",".join([str(i + 1)] + [f"{value:.1f}" for value in values] + [names[label]])
        for i, (values, label) in enumerate(rows))
    return Table("iris with names", 'kind="csv" file="Iris.csv" train="100" test="50"', {"Iris.csv": text}, rows,
                 test=50)


def clouds(draw, count, classes, scales, apart):
    """Rows round a centre of each class, in columns of these scales and offsets."""
    centres = [[draw.gauss(0, apart) for _ in scales] for _ in range(classes)]
    rows = []
    for i in range(count):
        label = i * classes // count
        rows.append(([offset + scale * (centre + draw.gauss(0, 1))
                      for (scale, offset), centre in zip(scales, centres[label])], label))
    return rows


def wine(draw):
    """Class 1 to 3 first, semicolons, decimal points, a heading in quotes, sorted by class."""
    scales = [(0.8, 13), (1.1, 2.3), (0.3, 2.4), (3, 20), (14, 100), (0.6, 2.3), (1, 2), (0.1, 0.4), (0.6, 1.6), (2, 5),
              (0.2, 1), (0.7, 2.6), (315, 750)]
    rows = clouds(draw, 178, 3, scales, 0.7)
    rows = [([float(f"{value:.2f}") for value in values], label) for values, label in rows]
    heading = ['"class"'] + [f'"measure {i}"' for i in range(13)]
    text = lines([";".join(heading)] + [";".join([str(label + 1)] + [f"{value:.2f}" for value in values])
                                        for values, label in rows])
    return Table("wine, class first, semicolons", 'kind="csv" file="wine.csv" label="first" train="118" test="60"',
                 {"wine.csv": text}, rows, test=60)


def adult(draw):
    """Texts and numbers between ', ', no heading, '?' for what is missing, classes <=50K and >50K."""
    kinds = {"workclass": ["Private", "Self-emp-not-inc", "Local-gov", "State-gov", "Without-pay"],
             "education": ["Bachelors", "HS-grad", "11th", "Masters", "9th", "Some-college", "Doctorate"],
             "marital": ["Married-civ-spouse", "Divorced", "Never-married", "Widowed"],
             "sex": ["Male", "Female"]}
    worth = {name: {value: draw.gauss(0, 1.2) for value in values} for name, values in kinds.items()}
    rows, written = [], []
    for _ in range(900):
        age, gain, hours = draw.randint(17, 80), draw.choice([0, 0, 0, 0, 2174, 5178, 14084]), draw.randint(10, 70)
        texts = {name: draw.choice(values) for name, values in kinds.items()}
        score = (age - 45) / 30 + gain / 4000 + (hours - 40) / 15 + sum(worth[name][texts[name]] for name in kinds)
        label = int(score + draw.gauss(0, 1) > 0.8)
        values = [float(age), texts["workclass"], texts["education"], texts["marital"], texts["sex"], float(gain),
                  float(hours)]
        missing = draw.random() < 0.07
        if not missing:
            rows.append((values, label))
        shown = [str(int(value)) if isinstance(value, float) else value for value in values]
        if missing:
            shown[draw.choice([1, 2])] = "?"
        written.append(", ".join(shown + [["<=50K", ">50K"][label]]))
    return Table("adult, texts and ?", 'kind="csv" file="adult.data" missing="drop"',
                 {"adult.data": lines(written)}, rows)


def pictures(draw, count, test, classes, side, noise):
    """Grey pictures: a few strokes a class, shifted, with noise. Bytes."""
    def strokes():
        return [(draw.uniform(0.2, 0.8) * side, draw.uniform(0.2, 0.8) * side, draw.uniform(0, math.pi),
                 draw.uniform(0.2, 0.35) * side) for _ in range(3)]
    prototypes = [strokes() for _ in range(classes)]

    def picture(label):
        picture, dx, dy = [0.0] * (side * side), draw.uniform(-2, 2), draw.uniform(-2, 2)
        for x, y, angle, length in prototypes[label]:
            for step in range(-side, side + 1):
                px = x + dx + math.cos(angle) * length * step / side
                py = y + dy + math.sin(angle) * length * step / side
                column, row = int(px), int(py)
                if 0 <= column < side and 0 <= row < side:
                    picture[row * side + column] = 180.0
        return [float(min(255, max(0, int(value + draw.gauss(0, noise))))) for value in picture]
    rows = [(picture(i % classes), i % classes) for i in range(count + test)]
    return rows[:count], rows[count:]


def picture_table(draw, name, head):
    """Kaggle's way: the label, then the pixels, with a heading; test rows in a file of their own."""
    rows, test = pictures(draw, 600, 300, 10, 28, 100)
    heading = "label," + ",".join(f"pixel{i + head}" for i in range(784))

    def text(part):
        return lines([heading] + [",".join([str(label)] + [str(int(value)) for value in values])
                                  for values, label in part])
    return Table(name, 'kind="csv" file="train.csv" test-file="test.csv" label="label"',
                 {"train.csv": text(rows), "test.csv": text(test)}, rows, test)


def idx(sizes, values):
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(values)


def idx_table(draw, name, classes, first, zipped, noise):
    """Four files as MNIST ships."""
    rows, test = pictures(draw, 60 * classes, 30 * classes, classes, 28, noise)
    end, files = ".gz" if zipped else "", {}
    for part, which in ((rows, "train"), (test, "t10k")):
        images = idx([len(part), 28, 28], [int(value) for values, _ in part for value in values])
        labels = idx([len(part)], [label + first for _, label in part])
        files[f"{which}-images-idx3-ubyte{end}"] = gzip.compress(images) if zipped else images
        files[f"{which}-labels-idx1-ubyte{end}"] = gzip.compress(labels) if zipped else labels
    data = (f'kind="idx" images="train-images-idx3-ubyte{end}" labels="train-labels-idx1-ubyte{end}" '
            f'test-images="t10k-images-idx3-ubyte{end}" test-labels="t10k-labels-idx1-ubyte{end}"')
    return Table(name, data, files, rows, test, scaled=False)


def npy(values, kind):
    """As numpy.save writes it where numpy is there; else its format 1.0 by hand."""
    try:
        import io

        import numpy
    except ImportError:
        letter = {"<f4": "f", "<i8": "q"}[kind]
        flat = [value for row in values for value in row] if isinstance(values[0], (list, tuple)) else values
        shape = (len(values), len(values[0])) if isinstance(values[0], (list, tuple)) else (len(values),)
        head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        head += " " * (-(len(head) + 11) % 64) + "\n"
        return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + struct.pack(f"<{len(flat)}{letter}", *flat)
    stream = io.BytesIO()
    numpy.save(stream, numpy.array(values, dtype=kind))
    return stream.getvalue()


def arrays(draw):
    """Features and labels that someone has saved from numpy, the labels counting from 1."""
    rows = clouds(draw, 600, 4, [(1, 0)] * 16, 0.5)
    draw.shuffle(rows)
    files = {"x.npy": npy([values for values, _ in rows], "<f4"), "y.npy": npy([label + 1 for _, label in rows], "<i8")}
    return Table("arrays of numpy", 'kind="npy" x="x.npy" y="y.npy" scale="standard"', files, rows)


def har(draw):
    """UCI HAR: numbers in columns of 16 characters that blanks part, labels 1 to 6 in files of their own."""
    rows = clouds(draw, 900, 6, [(0.2, 0)] * 40, 0.4)
    draw.shuffle(rows)
    files = {}
    for part, which in ((rows[:600], "train"), (rows[600:], "test")):
        files[f"X_{which}.txt"] = lines("".join(f" {value: .8e}" for value in values) for values, _ in part)
        files[f"y_{which}.txt"] = lines(str(label + 1) for _, label in part)
    data = 'kind="csv" file="X_train.txt" labels="y_train.txt" test-file="X_test.txt" test-labels="y_test.txt"'
    return Table("HAR, x and y", data, files, rows[:600], rows[600:])


def sensor_log(draw):
    """UCI occupancy: a heading without a name for the numbered rows, dates in quotes; the date is left out."""
    rows, text, minute = [], ['"date","Temperature","Humidity","Light","CO2","Occupancy"'], 0
    for i in range(500):
        minute += 1
        label = int(draw.random() < 0.4)
        values = [draw.gauss(20.5 + 0.5 * label, 0.6), draw.gauss(26 + label, 2),
                  max(0, draw.gauss(90 + 180 * label, 110)),
                  draw.gauss(550 + 150 * label, 150)]
        values = [float(f"{value:.2f}") for value in values]
        date = f"2015-02-{4 + minute // 1440:02d} {minute // 60 % 24:02d}:{minute % 60:02d}:00"
        text.append(f'"{i + 1}","{date}",' + ",".join(f"{value:.2f}" for value in values) + f",{label}")
        rows.append((values, label))
    return Table("a sensor log with dates", 'kind="csv" file="datatraining.txt" drop="date"',
                 {"datatraining.txt": lines(text)}, rows)


def libsvm(draw):
    """Sparse rows from index 1, classes 1 to 4, as LIBSVM's page has them."""
    width, rows, text = 60, [], []
    likely = [[draw.random() ** 3 for _ in range(width)] for _ in range(4)]
    for i in range(700):
        label = i % 4
        values = [1.0 if draw.random() < 0.5 * p + 0.12 else 0.0 for p in likely[label]]
        values[-1] = 1.0 if i % 7 == 0 else 0.0
        rows.append((values, label))
        text.append(f"{label + 1} " + " ".join(f"{j + 1}:1" for j, value in enumerate(values) if value))
    return Table("libsvm", 'kind="libsvm" file="dna.scale"', {"dna.scale": lines(text)}, rows)


def all_tables():
    """The same at each call."""
    def draw(seed):
        return random.Random(seed)
    return [iris(), wine(draw(1)), adult(draw(2)), picture_table(draw(3), "MNIST as CSV", 0),
            picture_table(draw(4), "Fashion-MNIST as CSV", 1),
            idx_table(draw(5), "MNIST, four idx files", 10, 0, True, 120),
            idx_table(draw(6), "Fashion-MNIST, four idx files", 10, 0, False, 120),
            idx_table(draw(7), "EMNIST letters", 26, 1, True, 110), har(draw(8)), sensor_log(draw(9)), libsvm(draw(10)),
            arrays(draw(11))]
