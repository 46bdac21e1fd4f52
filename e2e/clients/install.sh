# Sourced by run.sh, after peers.sh: what each client needs, into the cache folder, once. What a list of requirements says is part of the
# folder's name, so a changed list installs anew.

# A Python environment for a client's requirements.txt; prints its folder.
python_environment() { # client folder
    local requirements=$1/requirements.txt environment
    environment=$E2E_CACHE/python-$(basename "$1")-$(sha256sum "$requirements" | cut -c 1-12)
    if [[ ! -e $environment/installed ]]; then
        echo "installing $(paste -sd ' ' "$requirements") into $environment" >&2
        rm -rf "$environment"
        python3 -m venv "$environment" || die "python3 cannot make an environment: apt-get install python3-venv"
        timeout 500 "$environment/bin/pip" install -q --disable-pip-version-check -r "$requirements" >&2 || die "pip could not install $requirements"
        touch "$environment/installed"
    fi
    echo "$environment"
}

# The Java programs; prints the folder of their classes.
java_classes() {
    local sources=$CLIENTS_HOME/java classes
    classes=$E2E_CACHE/java-$KAFKA_VERSION-$(cat "$sources"/*.java | sha256sum | cut -c 1-12)
    if [[ ! -d $classes ]]; then
        command -v javac >/dev/null || die "javac (17 or newer) is needed: apt-get install default-jdk-headless"
        local staged
        staged=$(mktemp -d "$E2E_CACHE/.classes.XXXXXX")
        javac -d "$staged" -cp "$KAFKA_JARS/kafka-clients-$KAFKA_VERSION.jar" "$sources"/*.java >&2 || die "the Java programs do not compile"
        mv -T "$staged" "$classes" 2>/dev/null || rm -rf "$staged" # another run was faster
    fi
    echo "$classes"
}

# kcat: the machine's own, or Debian's packages unpacked into the cache folder without installing them. Prints how to call it, or nothing.
kcat_command() {
    if command -v kcat; then
        return
    fi
    local folder=$E2E_CACHE/kcat
    if [[ ! -e $folder/installed ]]; then
        command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
        echo "unpacking kcat into $folder" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        (
            cd "$folder"
            timeout 200 apt-get download -q kcat librdkafka1 libyajl2 >/dev/null 2>&1 || exit 1
            for package in *.deb; do dpkg-deb -x "$package" . || exit 1; done
        ) || return 0
        touch "$folder/installed"
    fi
    local libraries
    libraries=$(dirname "$(find "$folder/usr/lib" -name 'librdkafka.so.1' | head -n 1)")
    echo "env LD_LIBRARY_PATH=$libraries $folder/usr/bin/kcat"
}

# The member of a group by franz-go; prints the program, or nothing where there is no Go.
franz_go_member() {
    local sources=$CLIENTS_HOME/groups/franz-go program
    command -v go >/dev/null || return 0
    program=$E2E_CACHE/franz-go-member-$(cat "$sources"/{main.go,go.mod,go.sum} | sha256sum | cut -c 1-12)
    if [[ ! -x $program ]]; then
        echo "building the franz-go member into $program" >&2
        (cd "$sources" && timeout 500 go build -buildvcs=false -o "$program.$$" . >&2) || die "go could not build the franz-go member"
        mv "$program.$$" "$program"
    fi
    echo "$program"
}

# The folder of the member by KafkaJS, with what it needs; prints nothing where there is no npm.
kafkajs_member() {
    local sources=$CLIENTS_HOME/groups/kafkajs folder
    command -v node >/dev/null && command -v npm >/dev/null || return 0
    folder=$E2E_CACHE/kafkajs-member-$(cat "$sources"/* | sha256sum | cut -c 1-12)
    if [[ ! -d $folder ]]; then
        echo "installing KafkaJS into $folder" >&2
        local staged
        staged=$(mktemp -d "$E2E_CACHE/.kafkajs.XXXXXX")
        cp "$sources"/* "$staged"
        (cd "$staged" && timeout 300 npm ci --silent --no-audit --no-fund >&2) || die "npm could not install KafkaJS"
        mv -T "$staged" "$folder" 2>/dev/null || rm -rf "$staged" # another run was faster
    fi
    echo "$folder"
}

# A program of go/, built; prints it.
go_program() { # its folder's name
    local sources=$CLIENTS_HOME/go program
    command -v go >/dev/null || die "go (1.26 or newer) is needed for $1"
    program=$E2E_CACHE/go-$1-$(cat "$sources"/{go.mod,go.sum} "$sources/statements"/*.go "$sources/$1"/*.go | sha256sum | cut -c 1-12)
    if [[ ! -x $program ]]; then
        echo "building $1 into $program" >&2
        (cd "$sources" && timeout 580 go build -buildvcs=false -o "$program.$$" "./$1" >&2) || die "go could not build $1"
        mv "$program.$$" "$program"
    fi
    echo "$program"
}

# The folder of the programs of node/, beside what they need.
node_programs() {
    local sources=$CLIENTS_HOME/node packages folder staged
    command -v npm >/dev/null || die "npm is needed for KafkaJS and @platformatic/kafka"
    packages=$E2E_CACHE/node-packages-$(sha256sum "$sources/package-lock.json" | cut -c 1-12)
    if [[ ! -d $packages ]]; then
        echo "installing KafkaJS and @platformatic/kafka into $packages" >&2
        staged=$(mktemp -d "$E2E_CACHE/.node.XXXXXX")
        cp "$sources"/*.json "$staged"
        (cd "$staged" && timeout 500 npm ci --silent --no-audit --no-fund >&2) || die "npm could not install what node/package-lock.json says"
        mv -T "$staged" "$packages" 2>/dev/null || rm -rf "$staged" # another run was faster
    fi
    folder=$packages/programs-$(cat "$sources"/*.mjs "$sources"/*/*.mjs | sha256sum | cut -c 1-12)
    if [[ ! -d $folder ]]; then
        staged=$(mktemp -d "$E2E_CACHE/.node.XXXXXX")
        cp -r "$sources"/*.mjs "$sources"/*/ "$staged"
        mv -T "$staged" "$folder" 2>/dev/null || rm -rf "$staged"
    fi
    echo "$folder"
}

# Node, new enough for all of them: the machine's own, or the one that came with the packages.
node_command() { # folder of the programs
    local major
    major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' || true)
    if ((${major:-0} >= 24)); then
        echo node
    else
        [[ -x $1/../node_modules/.bin/node ]] || die "node (24 or newer) is needed, and no package has it for this system"
        echo "$1/../node_modules/.bin/node"
    fi
}

# The program of rdkafka/, built; prints it. It compiles librdkafka, which takes minutes once, into a target folder that outlives changes.
rdkafka_program() {
    local sources=$CLIENTS_HOME/rdkafka program target
    command -v cargo >/dev/null || die "cargo is needed for rdkafka"
    program=$E2E_CACHE/rdkafka-$(cat "$sources"/{Cargo.toml,Cargo.lock,build.rs} "$sources"/src/*.rs | sha256sum | cut -c 1-12)
    if [[ ! -x $program ]]; then
        echo "building rdkafka into $program" >&2
        target=$E2E_CACHE/rdkafka-target-$(sha256sum "$sources/Cargo.lock" | cut -c 1-12)
        (cd "$sources" && CARGO_TARGET_DIR=$target timeout 1800 cargo build --quiet --locked >&2) || die "cargo could not build rdkafka (a C compiler, make and zlib's headers are needed)"
        cp "$target/debug/millrace-clients-rdkafka" "$program.$$"
        mv "$program.$$" "$program"
    fi
    echo "$program"
}

# The C program, with Debian's librdkafka unpacked into the cache folder; prints how to call it, or nothing where there is none of it.
c_program() {
    local sources=$CLIENTS_HOME/c folder=$E2E_CACHE/librdkafka-dev library program
    command -v cc >/dev/null || return 0
    if [[ ! -e $folder/installed ]]; then
        command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
        echo "unpacking librdkafka and its headers into $folder" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        (
            cd "$folder"
            timeout 200 apt-get download -q librdkafka1 librdkafka-dev >/dev/null 2>&1 || exit 1
            for package in *.deb; do dpkg-deb -x "$package" . || exit 1; done
        ) || return 0
        touch "$folder/installed"
    fi
    library=$(find "$folder/usr/lib" -name 'librdkafka.so.1' | head -n 1)
    program=$E2E_CACHE/c-$(cat "$sources"/* | sha256sum | cut -c 1-12)
    if [[ ! -x $program ]]; then
        cc -std=gnu11 -Wall -Wextra -Werror -O1 -I "$folder/usr/include" -o "$program.$$" "$sources/main.c" "$library" -Wl,--allow-shlib-undefined >&2 ||
            die "the C program does not compile"
        mv "$program.$$" "$program"
    fi
    echo "env LD_LIBRARY_PATH=$(dirname "$library") $program"
}

# Kafka Streams and Connect, from Maven; prints the folder of their jars.
framework_jars() {
    local pom=$CLIENTS_HOME/frameworks/pom.xml jars staged
    jars=$E2E_CACHE/frameworks-$KAFKA_VERSION-$(sha256sum "$pom" | cut -c 1-12)
    if [[ ! -d $jars ]]; then
        command -v java >/dev/null && command -v mvn >/dev/null || die "java (17 or newer) and mvn are needed: apt-get install default-jdk-headless maven"
        echo "installing Kafka Streams and Connect $KAFKA_VERSION from Maven into $jars" >&2
        staged=$(mktemp -d "$E2E_CACHE/.frameworks.XXXXXX")
        timeout 580 mvn -q -B -f "$pom" -Dkafka="$KAFKA_VERSION" dependency:copy-dependencies -DoutputDirectory="$staged" -DincludeScope=runtime </dev/null >&2 ||
            die "mvn could not fetch Kafka Streams and Connect $KAFKA_VERSION"
        mv -T "$staged" "$jars" 2>/dev/null || rm -rf "$staged" # another run was faster
    fi
    echo "$jars"
}

# The programs for them, and the statements of java/; prints the folder of their classes.
framework_classes() {
    local sources=$CLIENTS_HOME/frameworks classes staged
    classes=$E2E_CACHE/frameworks-classes-$KAFKA_VERSION-$(cat "$sources"/*.java "$CLIENTS_HOME/java/Statements.java" | sha256sum | cut -c 1-12)
    if [[ ! -d $classes ]]; then
        command -v javac >/dev/null || die "javac (17 or newer) is needed: apt-get install default-jdk-headless"
        staged=$(mktemp -d "$E2E_CACHE/.classes.XXXXXX")
        javac -d "$staged" -cp "$(framework_jars)/*" "$sources"/*.java "$CLIENTS_HOME/java/Statements.java" >&2 || die "the programs for Streams and Connect do not compile"
        mv -T "$staged" "$classes" 2>/dev/null || rm -rf "$staged"
    fi
    echo "$classes"
}
